/**
 * The terminal on the page. Most of what the page loads is here, so it is loaded beside the machine, not before it.
 */
import { Terminal } from '../vendor/xterm.mjs';
import { FitAddon } from '../vendor/addon-fit.mjs';
import { Unicode11Addon } from '../vendor/addon-unicode11.mjs';

/** @returns {{ terminal: Terminal, fit: FitAddon }} */
export function openTerminal() {
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
