/**
 * The page API: a Linux box in a worker.
 *
 * ```js
 * import { Box } from './page/box.js';
 * const box = await Box.start({ image: 'default' });
 * const { status, stdout } = await box.run(['ls', '-l', '/']);
 * await box.putFile('/tmp/hello.txt', 'hello\n');
 * ```
 *
 * The page must be cross-origin isolated (COOP and COEP headers): {@link Box.obstacle} says why it can't run
 * otherwise.
 */

import { loadEngine, loadManifest } from './load.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const toBytes = (data) => (typeof data === 'string' ? encoder.encode(data) : data);

/** Bytes of several chunks as one array. */
function join(chunks) {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** A program started by {@link Box#spawn}. */
export class Process {
  constructor(box, pid, { onStdout, onStderr }) {
    this.box = box;
    /** Its process id inside the box. */
    this.pid = pid;
    this.sinks = { 1: onStdout ?? (() => {}), 2: onStderr ?? (() => {}) };
    /**
     * Resolves to `{ status, signal }` when it ends: an exit status, or the signal's number (status 128 + signal).
     * Fails if the machine ends before it.
     */
    this.exited = new Promise((resolve, reject) => {
      this.resolveExit = resolve;
      this.rejectExit = reject;
    });
    // Not everybody waits for every program.
    this.exited.catch(() => {});
  }

  /** Sends bytes or text to its standard input. */
  write(data) {
    return this.box.call('input', this.pid, toBytes(data));
  }

  /** Ends its standard input. */
  closeInput() {
    return this.box.call('closeInput', this.pid);
  }

  /** Sends it a signal, by number. */
  signal(number) {
    return this.box.call('signal', this.pid, number);
  }
}

/** A running machine. */
export class Box {
  /** Why a box can't run on this page, or `null` if it can. */
  static obstacle() {
    if (!globalThis.isSecureContext) {
      return 'This page was not loaded over HTTPS (or from localhost), so the browser denies it shared memory.';
    }
    if (!globalThis.crossOriginIsolated) {
      return 'This page is not cross-origin isolated, so the browser denies it the shared memory a machine needs. '
        + 'Its server must send "Cross-Origin-Opener-Policy: same-origin" and '
        + '"Cross-Origin-Embedder-Policy: require-corp"; inside a frame, the outer page must send them too, and the '
        + 'frame needs allow="cross-origin-isolated".';
    }
    return null;
  }

  /**
   * Starts a machine. Nothing runs in it before {@link Box#boot} or {@link Box#run}.
   *
   * @param {object} [options]
   * @param {string} [options.image] name of an image on the server; `default` if not given
   * @param {string | URL} [options.base] where `engine/`, `worker/` and `disk/` are; this page's origin if not given
   * @param {'jit' | 'interp'} [options.engine] what runs the instructions: compiled code, or the interpreter alone
   * @param {string} [options.access] token for an image that is private
   * @param {number} [options.columns] of the console
   * @param {number} [options.rows] of the console
   * @param {number} [options.cacheBytes] what this browser may keep of disks for the next time, in bytes: 512 MiB if not
   *   given, shared by all boxes of this origin; 0 keeps nothing
   * @param {(bytes: Uint8Array) => void | Promise<void>} [options.onConsole] gets the console's output; while what it
   *   returns is pending, programs that write more than a little wait
   * @param {(progress: object) => void} [options.onProgress] hears what is being loaded
   * @param {(trouble: {kind: string, text: string}) => void} [options.onTrouble] hears that the server can't be
   *   reached (`unreachable`; the machine waits and goes on later), that it denies access (`access`; the same, see
   *   {@link Box#setAccess}), that a part of the disk is lost (`disk`; programs
   *   get I/O errors), or that the machine can't go on (`broken`)
   * @param {() => void} [options.onRecovered] hears that the server answers again
   * @param {() => void} [options.onHalted] hears that every process has ended
   * @param {(line: string) => void} [options.onLog] gets messages of the kernel layer
   * @returns {Promise<Box>}
   */
  static async start(options = {}) {
    const obstacle = Box.obstacle();
    if (obstacle) throw new Error(obstacle);
    const box = new Box(options);
    const { image = 'default', engine = 'jit', columns = 80, rows = 24, cacheBytes, access } = options;
    const { base } = box;
    options.onProgress?.({ stage: 'engine', requests: 0, bytes: 0, waiting: 0 });
    const loading = loadEngine(base);
    // The manifest's failure is told first. Until then this one would count as unhandled.
    loading.catch(() => {});
    try {
      const manifest = await loadManifest(base, image, access);
      box.call('load', { manifest, base: base.href, cacheBytes, access }).catch(() => {});
      ({ command: box.command } = await box.call('start', { module: await loading, engine, columns, rows }));
    } catch (error) {
      box.stop();
      throw error;
    }
    return box;
  }

  /** @private Use {@link Box.start}. */
  constructor(options) {
    this.options = options;
    this.base = new URL(options.base ?? new URL('..', import.meta.url));
    this.calls = new Map();
    this.processes = new Map();
    this.early = [];
    /** Why it can't be called any more, if it can't. */
    this.ended = null;
    this.nextId = 1;
    this.worker = new Worker(new URL('worker/main.js', this.base), { type: 'module', name: 'edgebox' });
    this.worker.onmessage = ({ data }) => (data.event ? this.#happened(data) : this.#replied(data));
    this.worker.onerror = (event) => this.#broke(`the worker failed: ${event.message ?? 'it could not be loaded'}`);
  }

  /** @private */
  call(method, ...args) {
    if (this.ended !== null) return Promise.reject(new Error(this.ended));
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.calls.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, args });
    });
  }

  #replied({ id, result, error }) {
    const { resolve, reject } = this.calls.get(id);
    this.calls.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }

  /** Nothing will be answered any more. */
  #giveUp(text) {
    this.ended = text;
    for (const { reject } of this.calls.values()) reject(new Error(text));
    for (const process of this.processes.values()) process.rejectExit(new Error(text));
    this.calls.clear();
    this.processes.clear();
  }

  #broke(text) {
    this.#giveUp(text);
    this.options.onTrouble?.({ kind: 'broken', text });
  }

  #happened(event) {
    const { onConsole, onProgress, onTrouble, onRecovered, onHalted, onLog } = this.options;
    switch (event.event) {
      case 'console': return this.#show(event.bytes, onConsole);
      case 'progress': return onProgress?.(event);
      case 'recovered': return onRecovered?.();
      case 'halted': return onHalted?.();
      case 'log': return onLog?.(event.line);
      case 'trouble': return event.kind === 'broken' ? this.#broke(event.text) : onTrouble?.(event);
      default: return this.#toProcess(event);
    }
  }

  /** Programs that write to the console get on as fast as it shows what they write. */
  async #show(bytes, onConsole) {
    try {
      await onConsole?.(bytes);
    } finally {
      this.call('shown', bytes.length).catch(() => {});
    }
  }

  /** Output may overtake the reply that names the process: it is kept until then. */
  #toProcess(event) {
    const process = this.processes.get(event.pid);
    if (!process) {
      this.early.push(event);
    } else if (event.event === 'output') {
      process.sinks[event.stream](event.bytes);
    } else {
      this.processes.delete(event.pid);
      process.resolveExit({ status: event.status, signal: event.signal || null });
    }
  }

  /** Runs the image's own command on the console. Resolves to its process id when it has started. */
  boot() {
    return this.call('boot');
  }

  /** Types on the console: text or bytes. */
  write(data) {
    return this.call('write', toBytes(data));
  }

  /** Tells programs the console's size. */
  resize(columns, rows) {
    return this.call('resize', columns, rows);
  }

  /**
   * Starts a program with pipes for its standard streams.
   *
   * @param {string[]} argv
   * @param {object} [options] `env` (object), `cwd`, `user` (name or "uid:gid"), `onStdout`, `onStderr`
   * @returns {Promise<Process>}
   */
  async spawn(argv, options = {}) {
    const { env = {}, cwd = null, user = null, tty = false } = options;
    const pid = await this.call("spawn", { argv, env, cwd, user, tty });
    const process = new Process(this, pid, options);
    this.processes.set(pid, process);
    const mine = this.early.filter((event) => event.pid === pid);
    this.early = this.early.filter((event) => event.pid !== pid);
    mine.forEach((event) => this.#toProcess(event));
    return process;
  }

  /**
   * Runs a program to its end.
   *
   * @param {string[]} argv
   * @param {object} [options] as for {@link Box#spawn}, and `stdin` (text or bytes)
   * @returns {Promise<{status: number, signal: number | null, stdout: string, stderr: string}>}
   */
  async run(argv, options = {}) {
    const output = { stdout: [], stderr: [] };
    const process = await this.spawn(argv, {
      ...options,
      onStdout: (bytes) => output.stdout.push(bytes),
      onStderr: (bytes) => output.stderr.push(bytes),
    });
    if (options.stdin !== undefined) await process.write(options.stdin);
    await process.closeInput();
    const exit = await process.exited;
    return { ...exit, stdout: decoder.decode(join(output.stdout)), stderr: decoder.decode(join(output.stderr)) };
  }

  /** Writes a file, as root; `mode` as for chmod. Its directory must exist. */
  async putFile(path, data, mode = 0o644) {
    await this.call('putFile', path, toBytes(data), mode);
  }

  /** Reads a file, as root. @returns {Promise<Uint8Array>} */
  getFile(path) {
    return this.call('getFile', path);
  }

  /** Goes on with another token, where the one it was started with has expired. */
  async setAccess(token) {
    await this.call('access', token);
  }

  /** Counters: requests, bytes, instructions, memory. See `shared/messages.js`. */
  stats() {
    return this.call('stats');
  }

  /** Ends the machine at once; what was written in it is lost. */
  stop() {
    this.worker.terminate();
    this.#giveUp('the machine was stopped');
  }
}
