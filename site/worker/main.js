/**
 * The VM worker: owns the engine, runs it in slices, and lets messages and arriving chunks in between.
 * See ../shared/messages.js for what it is told and tells.
 */
import init, { EngineKind, Machine } from '../engine/vm.js';
import { ChunkFetcher } from './chunks.js';
import { ObjectStore } from './store.js';

/** How long the engine runs before messages get their turn, in milliseconds: a frame's worth, so typing feels direct. */
const SLICE_MS = 8;

/** Console output in one message, in bytes: a terminal lays a message out in one go, which must not take a frame's time. */
const CONSOLE_BYTES_ENOUGH = 8 * 1024;

/** Progress reports are at least this far apart, in milliseconds. */
const PROGRESS_MS = 100;

/** Boot packs asked for before the engine is there, which asks for all. */
const BOOT_PACKS_MAX = 8;

// The browser's account of requests keeps 250 unless told otherwise.
performance.setResourceTimingBufferSize(100_000);

/** @type {Machine} */
let machine;
/** @type {ChunkFetcher} */
let fetcher;
/** @type {ObjectStore} */
let store;
/** @type {Uint8Array} */
let manifest;
let engineModule;
/** The disk is mounted: the machine can run. */
let mounted = false;
/** Every process has ended, and the page knows. */
let halted = false;
let runMs = 0;
let scheduled = false;
let timer = 0;
let lastProgress = 0;
let progressTimer = 0;
/** Calls that wait for the disk: tried again whenever something arrives. */
let waiting = [];

const report = (event) => self.postMessage(event);

/** A way to be called back at once, but after pending messages; `setTimeout` waits 4 ms. */
const turn = new MessageChannel();
turn.port1.onmessage = () => {
  scheduled = false;
  slice();
};

function wake() {
  if (scheduled || !mounted) return;
  clearTimeout(timer);
  scheduled = true;
  turn.port2.postMessage(0);
}

function slice() {
  const start = performance.now();
  let wait;
  try {
    wait = machine.run(SLICE_MS);
  } catch (error) {
    mounted = false;
    reportConsole();
    report({ event: 'trouble', kind: 'broken', text: `the engine stopped: ${error.message ?? error}` });
    return;
  }
  runMs += performance.now() - start;
  reportConsole();
  reportProgress();
  if (wait < 0 && !halted) report({ event: 'halted' });
  halted = wait < 0;
  if (wait === 0) wake();
  else if (wait > 0 && Number.isFinite(wait)) timer = setTimeout(wake, wait);
}

/** Reports what has been loaded: now, or soon if it was reported a moment ago, so that the last news is never old. */
function reportProgress() {
  clearTimeout(progressTimer);
  const now = performance.now();
  const soon = lastProgress + PROGRESS_MS - now;
  if (soon > 0) {
    progressTimer = setTimeout(reportProgress, soon);
    return;
  }
  lastProgress = now;
  const waitingChunks = machine ? JSON.parse(machine.stats()).waiting : 0;
  report({
    event: 'progress', stage: 'disk', requests: fetcher.requests, bytes: fetcher.wireBytes, waiting: waitingChunks,
  });
}

/** Console output of this slice. Programs write by the line; a message for each line would cost more than the rest. */
let shown = [];
let shownBytes = 0;

function reportConsole() {
  if (shownBytes === 0) return;
  const bytes = new Uint8Array(shownBytes);
  let at = 0;
  for (const piece of shown) {
    bytes.set(piece, at);
    at += piece.length;
  }
  [shown, shownBytes] = [[], 0];
  self.postMessage({ event: 'console', bytes }, [bytes.buffer]);
}

/**
 * What the engine asks of the world. Called while it runs, so nothing here may call back into it. Bytes are a view of
 * the engine's memory: they are copied, as a message with a view in it takes all of that memory along.
 */
const host = {
  consoleOutput(bytes) {
    shown.push(bytes.slice());
    shownBytes += bytes.length;
    if (shownBytes >= CONSOLE_BYTES_ENOUGH) reportConsole();
  },
  processOutput: (pid, stream, bytes) => report({ event: 'output', pid, stream, bytes: bytes.slice() }),
  processExit(pid, status, signal) {
    reportConsole();
    report({ event: 'exit', pid, status, signal });
  },
  log: (line) => report({ event: 'log', line }),
  diskFailure: (text) => report({ event: 'trouble', kind: 'disk', text }),
  fetchChunk: (digest, refetch) => fetcher.fetch(digest, refetch),
};

function afterDisk(action) {
  action();
  const retry = waiting;
  waiting = [];
  retry.forEach((attempt) => attempt());
  reportProgress();
  wake();
}

/** Runs something that may have to wait for the disk: it returns `undefined` then. */
function onceReady(action) {
  return new Promise((resolve, reject) => {
    const attempt = () => {
      try {
        const result = action();
        if (result === undefined) waiting.push(attempt);
        else resolve(result);
      } catch (error) {
        reject(error);
      }
      wake();
    };
    attempt();
  });
}

/** Digests of the manifest's boot packs. What is wrong with a manifest is for the engine to say. */
function bootPacks(manifest) {
  try {
    const { packs = [] } = JSON.parse(new TextDecoder().decode(manifest));
    return packs.filter(({ on }) => on === undefined).map(({ digest }) => digest)
      .filter((digest) => /^[0-9a-f]{64}$/.test(digest)).slice(0, BOOT_PACKS_MAX);
  } catch {
    return [];
  }
}

const methods = {
  load({ manifest: bytes, base, cacheBytes, access }) {
    manifest = bytes;
    store = new ObjectStore(cacheBytes);
    fetcher = new ChunkFetcher(base, {
      arrived: (digest, bytes) => afterDisk(() => machine.chunkArrived(digest, bytes)),
      missing: (digest, why) => afterDisk(() => machine.chunkMissing(digest, why)),
      unreachable: (digest, why) => afterDisk(() => machine.chunkUnreachable(digest, why)),
      retry: () => afterDisk(() => machine.retryStalled()),
    }, report, store);
    fetcher.access = access;
    // The engine asks for them when it is there.
    fetcher.fetchEarly(bootPacks(manifest));
  },

  access: (token) => fetcher.setAccess(token),

  async start({ module, engine, columns, rows }) {
    engineModule = await init({ module_or_path: module });
    report({ event: 'progress', stage: 'manifest', requests: 0, bytes: 0, waiting: 0 });
    machine = new Machine(manifest, host, engine === 'interp' ? EngineKind.Interpreter : EngineKind.Jit, columns, rows);
    await onceReady(() => machine.mount() || undefined);
    mounted = true;
    return { command: machine.command() };
  },

  boot: () => onceReady(() => machine.boot()),
  spawn: (request) => onceReady(() => machine.spawn(JSON.stringify(request))),

  write(bytes) {
    machine.consoleInput(bytes);
    wake();
  },
  shown(count) {
    machine.consoleShown(count);
    wake();
  },
  resize(columns, rows) {
    machine.consoleResize(columns, rows);
    wake();
  },
  input(pid, bytes) {
    machine.input(pid, bytes);
    wake();
  },
  closeInput(pid) {
    machine.closeInput(pid);
    wake();
  },
  signal(pid, number) {
    machine.signal(pid, number);
    wake();
  },
  putFile: (path, bytes, mode) => onceReady(() => machine.putFile(path, bytes, mode) || undefined),
  getFile: (path) => onceReady(() => machine.getFile(path)),

  stats() {
    const engine = JSON.parse(machine.stats());
    // The browser's own account of this worker's requests; engine and manifest are the page's. What came out of its cache has no transfer size.
    const loaded = performance.getEntriesByType('resource').filter(({ transferSize }) => transferSize > 0);
    const ofDisk = loaded.filter(({ name }) => name.includes('/disk/'));
    const bytes = (entries) => entries.reduce((sum, { transferSize }) => sum + transferSize, 0);
    return {
      ...engine,
      requests: fetcher.requests,
      wireBytes: fetcher.wireBytes,
      kept: store.hits,
      isKept: store.isIdle,
      networkRequests: loaded.length,
      networkBytes: bytes(loaded),
      diskRequests: ofDisk.length,
      diskBytes: bytes(ofDisk),
      runMs,
      engineBytes: engineModule.memory.buffer.byteLength,
    };
  },
};

self.onmessage = async ({ data: { id, method, args } }) => {
  try {
    if (!mounted && !['load', 'start', 'access'].includes(method)) throw new Error('the machine is not running');
    report({ id, result: await methods[method](...args) });
  } catch (error) {
    report({ id, error: String(error.message ?? error) });
  }
};
