/**
 * The page: a terminal on the machine's console, and a line that says how it is getting on.
 */
import { Terminal } from '../vendor/xterm.mjs';
import { FitAddon } from '../vendor/addon-fit.mjs';
import { Unicode11Addon } from '../vendor/addon-unicode11.mjs';
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
  disk: (text) => [`A part of the disk can't be read: ${text}. Programs that need it fail.`, 'trouble'],
  broken: (text) => [`The machine stopped: ${text}. Reload the page to start afresh.`, 'broken'],
};

function openTerminal() {
  const terminal = new Terminal({
    allowProposedApi: true,
    cursorBlink: true,
    fontFamily: '"DejaVu Sans Mono", "Cascadia Mono", Menlo, Consolas, monospace',
    fontSize: 14,
    // A row of rounded-down height cuts off underscores.
    lineHeight: 1.1,
    scrollback: 5000,
    theme: { background: '#16181d' },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = '11';
  terminal.open(document.getElementById('screen'));
  fit.fit();
  // Ctrl-C is the guest's; Ctrl-Shift-C copies, as in other terminals.
  terminal.attachCustomKeyEventHandler((event) => {
    const copies = event.ctrlKey && event.shiftKey && event.code === 'KeyC';
    if (copies && event.type === 'keydown') {
      navigator.clipboard.writeText(terminal.getSelection());
      event.preventDefault();
    }
    return !copies;
  });
  return { terminal, fit };
}

async function main() {
  await isolate();
  const { terminal, fit } = openTerminal();
  // Both for embedders, tests and curious people at the console.
  globalThis.terminal = terminal;
  const obstacle = Box.obstacle();
  if (obstacle) {
    say('This page can\'t run a machine.', 'broken');
    terminal.write(obstacle.replaceAll('\n', '\r\n'));
    return;
  }
  const parameters = new URLSearchParams(location.search);
  const image = parameters.get('image') ?? 'default';
  const box = await Box.start({
    image,
    engine: parameters.get('engine') ?? 'jit',
    columns: terminal.cols,
    rows: terminal.rows,
    onConsole: (bytes) => new Promise((resolve) => { terminal.write(bytes, resolve); }),
    onProgress: (progress) => { if (!status.className) say(describe(progress)); },
    onTrouble: ({ kind, text }) => say(...TROUBLE[kind](text)),
    onRecovered: () => say('The server is back.'),
    onHalted: () => say('The machine has shut down. Reload the page to start afresh.'),
    onLog: (line) => console.info(line),
  });
  globalThis.box = box;

  const encoder = new TextEncoder();
  terminal.onData((text) => box.write(encoder.encode(text)));
  terminal.onBinary((text) => box.write(Uint8Array.from(text, (character) => character.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => box.resize(cols, rows));
  new ResizeObserver(() => fit.fit()).observe(document.getElementById('screen'));
  await box.boot();
  terminal.focus();
}

main().catch((error) => say(`The machine could not be started: ${error.message}`, 'broken'));
