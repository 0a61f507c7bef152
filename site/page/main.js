/**
 * The page: a terminal on the machine's console, and a line that says how it is getting on.
 */
import { accessTo, onNewAccess } from './access.js';
import { Box } from './box.js';
import { isolate } from './isolate.js';

const status = document.getElementById('status');

function say(text, kind = '') {
  status.textContent = text;
  status.className = kind;
}

const size = (bytes) => (bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

function describe({ stage, requests, bytes, waiting }) {
  if (stage === 'engine') return 'loading the engine';
  if (stage === 'manifest') return 'opening the disk';
  const loaded = `${size(bytes)} of disk in ${requests} requests`;
  return waiting > 0 ? `loading: ${loaded}` : `ready: ${loaded}`;
}

/** What to say of each kind of trouble, and how it looks. */
const TROUBLE = {
  unreachable: (text) => [`The server can't be reached (${text}). The machine waits and goes on when it is back.`, 'trouble'],
  access: (text) => [`Access is denied: ${text} The machine waits: open the link to this page that is valid now.`, 'trouble'],
  disk: (text) => [`A part of the disk can't be read: ${text}. Programs that need it fail.`, 'trouble'],
  broken: (text) => [`The machine stopped: ${text}. Reload the page to start afresh.`, 'broken'],
};

async function openTerminal() {
  const { terminal, fit } = await import('./terminal.js').then((module) => module.openTerminal());
  // For embedders, tests and curious people at the console.
  globalThis.terminal = terminal;
  return { terminal, fit };
}

async function main() {
  await isolate();
  const opening = openTerminal();
  const obstacle = Box.obstacle();
  if (obstacle) {
    const { terminal } = await opening;
    say('This page can\'t run a machine.', 'broken');
    terminal.write(obstacle.replaceAll('\n', '\r\n'));
    return;
  }
  const parameters = new URLSearchParams(location.search);
  const image = parameters.get('image') ?? 'default';
  let box = null;
  onNewAccess(image, (token) => { if (box) box.setAccess(token); else location.reload(); });
  const starting = Box.start({
    image,
    access: accessTo(image),
    engine: parameters.get('engine') ?? 'jit',
    onConsole: async (bytes) => {
      const { terminal } = await opening;
      return new Promise((resolve) => { terminal.write(bytes, resolve); });
    },
    onProgress: (progress) => { if (!status.className) say(describe(progress)); },
    onTrouble: ({ kind, text }) => say(...TROUBLE[kind](text)),
    onRecovered: () => say('The server is back.'),
    onHalted: () => say('The machine has shut down. Reload the page to start afresh.'),
    onLog: (line) => console.info(line),
  });
  const [{ terminal, fit }, started] = await Promise.all([opening, starting]);
  box = started;
  globalThis.box = box;

  const encoder = new TextEncoder();
  terminal.onData((text) => box.write(encoder.encode(text)));
  terminal.onBinary((text) => box.write(Uint8Array.from(text, (character) => character.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => box.resize(cols, rows));
  new ResizeObserver(() => fit.fit()).observe(document.getElementById('screen'));
  // Not waited for: calls are answered in order.
  box.resize(terminal.cols, terminal.rows);
  await box.boot();
  terminal.focus();
}

main().catch((error) => say(`The machine could not be started: ${error.message}`, 'broken'));
