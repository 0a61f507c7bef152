// The browser's side of `edgebox bench`: a machine in a headless Chromium, and WebAssembly programs beside it.
//
// Argument: JSON { site, disk, files, chromium, image, engine, timeoutS }. Requests come one a line on standard input,
// each answered by one line on standard output:
//   { do: "version" }                            the browser's
//   { do: "open" }                               a fresh page; its machine starts when it is needed
//   { do: "run", files, argv }                   a program in the machine, once it has got these files
//   { do: "wasm", file, args }                   a WASI program of `files`, in a worker of its own
// `files` in a request are those of the directory `files` that the program needs; they are at /tmp in the machine. A
// program that prints READY gets a line when its CPU time up to there has been noted: `steps` are the times between.
// An answer is { error } if it went wrong; what comes next gets a fresh page.
import { readFileSync, readdirSync } from "node:fs";
import { createInterface } from "node:readline";

import { chromium } from "playwright-core";

import { FLAGS, serve } from "./browser.mjs";

const setup = JSON.parse(process.argv[2]);

/** Names of threads that programs run on. The kernel cuts them off at 15 characters. */
const WORKER_THREAD = /^DedicatedWorker/;

const server = await serve(setup);
const address = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({ executablePath: setup.chromium, args: FLAGS });
const system = await browser.newBrowserCDPSession();
let page = null;
/** What {@link cpuMs} said at each READY. */
let marks = [];
/** Files the page's machine has got; `null` if there is no machine yet. */
let present = null;

async function open() {
  await page?.close();
  present = null;
  page = await browser.newPage();
  await page.exposeFunction("mark", async () => { marks.push(await cpuMs()); });
  await page.goto(`${address}/page/headless.html`);
  return {};
}

async function startMachine() {
  await page.evaluate(async (options) => {
    const { Box } = await import("/page/box.js");
    globalThis.broken = new Promise((_, reject) => {
      options.onTrouble = ({ kind, text }) => kind === "broken" && reject(new Error(text));
    });
    globalThis.broken.catch(() => {});
    globalThis.box = await Box.start(options);
  }, { image: setup.image, ...(setup.engine ? { engine: setup.engine } : {}) });
  present = new Set();
}

function put(file) {
  return page.evaluate(async (name) => {
    const answer = await fetch(`/files/${name}`);
    if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
    await globalThis.box.putFile(`/tmp/${name}`, new Uint8Array(await answer.arrayBuffer()), 0o755);
  }, file);
}

/** CPU time of the browser's workers and of all its tabs, from the kernel: on a busy machine clocks say little. */
async function cpuMs() {
  const { processInfo } = await system.send("SystemInfo.getProcessInfo");
  const sums = { workers: 0, tabs: 0 };
  for (const { id } of processInfo.filter(({ type }) => type === "renderer")) {
    for (const thread of readdirSync(`/proc/${id}/task`)) {
      const directory = `/proc/${id}/task/${thread}`;
      const ms = Number(readFileSync(`${directory}/schedstat`, "utf8").split(" ")[0]) / 1e6;
      sums.tabs += ms;
      if (WORKER_THREAD.test(readFileSync(`${directory}/comm`, "utf8"))) sums.workers += ms;
    }
  }
  return sums;
}

/** What CPU time there was between two looks at it. */
function between(before, after) {
  return { ownMs: after.workers - before.workers, allMs: after.tabs - before.tabs };
}

/** Adds to a result what CPU time it took, as a whole and in steps. */
async function measured(action) {
  marks = [];
  const before = await cpuMs();
  const result = await action();
  const cpu = between(before, await cpuMs());
  return { ...result, cpu, steps: marks.slice(1).map((mark, index) => between(marks[index], mark)) };
}

async function run({ files, argv }) {
  if (!present) await startMachine();
  for (const file of files.filter((name) => !present.has(name))) {
    await put(file);
    present.add(file);
  }
  return measured(() => page.evaluate(async (argv) => {
    const { box, broken, mark } = globalThis;
    const output = { stdout: "", stderr: "" };
    const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
    const collect = (stream, bytes) => { output[stream] += decoders[stream].decode(bytes, { stream: true }); };
    let started;
    const onStdout = async (bytes) => {
      collect("stdout", bytes);
      if (!output.stdout.endsWith("READY\n")) return;
      await mark();
      await (await started).write("\n");
    };
    const start = performance.now();
    started = box.spawn(argv, { user: "root", cwd: "/tmp", onStdout, onStderr: (bytes) => collect("stderr", bytes) });
    const process = await started;
    if (!argv.includes("step")) await process.closeInput();
    const exit = await Promise.race([process.exited, broken]);
    return { ...exit, ...output, wallMs: performance.now() - start };
  }, argv));
}

/** The worker is kept until its CPU time has been read. */
async function wasm({ file, args }) {
  const result = await measured(() => page.evaluate(([url, args]) => new Promise((resolve, reject) => {
    const worker = new Worker("/files/wasi.mjs", { type: "module" });
    globalThis.wasmWorker = worker;
    const lines = new Int32Array(new SharedArrayBuffer(4));
    worker.onmessage = async ({ data }) => {
      if (!data.ready) return data.error ? reject(new Error(data.error)) : resolve(data);
      await globalThis.mark();
      Atomics.add(lines, 0, 1);
      return Atomics.notify(lines, 0);
    };
    worker.onerror = ({ message }) => reject(new Error(message ?? "wasi.mjs could not be loaded"));
    worker.postMessage({ url, args, lines });
  }), [`/files/${file}`, args]));
  await page.evaluate(() => globalThis.wasmWorker.terminate());
  return result;
}

const ACTIONS = { open, run, wasm, version: () => ({ version: browser.version() }) };

/** A promise that fails when what `action` does takes too long. */
async function within(action) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took more than ${setup.timeoutS} s`)), setup.timeoutS * 1000);
  });
  try {
    return await Promise.race([action, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function answer(request) {
  try {
    if (!page && request.do !== "version") await open();
    return await within(ACTIONS[request.do](request));
  } catch (error) {
    // Whatever still runs there ends with the page.
    await page?.close();
    page = null;
    present = null;
    // Playwright's message holds a stack; its first line says what happened.
    return { error: error.message.replace(/^page\.evaluate: (Error: )?/, "").split("\n")[0] };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
await browser.close();
server.close();
