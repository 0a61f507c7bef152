// A Web Worker that runs one WASI program: just enough of WASI for bench.c.
//
// It gets { url, args, lines } and answers { status, stdout, wallMs }, or { error }. When the program reads, it says
// { ready: true } and waits until `lines` (a shared Int32Array of one element) changes; what is read is an empty line.

const SUCCESS = 0;
const NO_SYSTEM = 52;
const BAD_FILE = 8;

/** What proc_exit throws, to leave the program. */
class Exit {
  constructor(status) { this.status = status; }
}

/** Functions of `wasi_snapshot_preview1`; the memory is there once the program is. */
function wasi({ args, lines }, program, write) {
  const encoder = new TextEncoder();
  const texts = args.map((arg) => encoder.encode(`${arg}\0`));
  const view = () => new DataView(program.memory.buffer);
  const bytes = (at, length) => new Uint8Array(program.memory.buffer, at, length);
  return {
    args_sizes_get(count, size) {
      view().setUint32(count, texts.length, true);
      view().setUint32(size, texts.reduce((sum, text) => sum + text.length, 0), true);
      return SUCCESS;
    },
    args_get(pointers, buffer) {
      texts.forEach((text, index) => {
        view().setUint32(pointers + 4 * index, buffer, true);
        bytes(buffer, text.length).set(text);
        buffer += text.length;
      });
      return SUCCESS;
    },
    clock_time_get(_clock, _precision, result) {
      view().setBigUint64(result, BigInt(Math.round(performance.now() * 1e6)), true);
      return SUCCESS;
    },
    fd_write(_fd, vectors, count, written) {
      let total = 0;
      for (let at = vectors; at < vectors + 8 * count; at += 8) {
        const length = view().getUint32(at + 4, true);
        write(bytes(view().getUint32(at, true), length).slice());
        total += length;
      }
      view().setUint32(written, total, true);
      return SUCCESS;
    },
    fd_read(_fd, vectors, _count, read) {
      const before = Atomics.load(lines, 0);
      globalThis.postMessage({ ready: true });
      Atomics.wait(lines, 0, before);
      bytes(view().getUint32(vectors, true), 1)[0] = 10;
      view().setUint32(read, 1, true);
      return SUCCESS;
    },
    // Streams are neither files nor seekable.
    fd_fdstat_get(_fd, result) {
      bytes(result, 24).fill(0);
      return SUCCESS;
    },
    fd_prestat_get: () => BAD_FILE,
    proc_exit(status) { throw new Exit(status); },
  };
}

/** Runs to the end; returns the exit status. */
function runToEnd(start) {
  try {
    start();
    return 0;
  } catch (thrown) {
    if (thrown instanceof Exit) return thrown.status;
    throw thrown;
  }
}

async function run(request) {
  const { url } = request;
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  const binary = await answer.arrayBuffer();
  const start = performance.now();
  const program = {};
  let stdout = "";
  const decoder = new TextDecoder();
  const functions = wasi(request, program, (piece) => { stdout += decoder.decode(piece); });
  const answerNo = { get: (known, name) => known[name] ?? (() => NO_SYSTEM) };
  const imports = { wasi_snapshot_preview1: new Proxy(functions, answerNo) };
  const { instance } = await WebAssembly.instantiate(binary, imports);
  program.memory = instance.exports.memory;
  const status = runToEnd(instance.exports._start);
  return { status, stdout, wallMs: performance.now() - start };
}

globalThis.onmessage = async ({ data }) => {
  try {
    globalThis.postMessage(await run(data));
  } catch (error) {
    globalThis.postMessage({ error: String(error) });
  }
};
