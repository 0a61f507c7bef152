// Runs one command in a machine in headless Chromium: `edgebox vm --host chromium`.
//
// Standard input, output and the exit status are those of the program in the guest. What to run comes as JSON in the
// one argument: { site, disk, chromium, image, argv, env, cwd, user, tty, binds, stats }.
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { chromium } from "playwright-core";

import { FLAGS, serve } from "./browser.mjs";

/** Most bytes of standard input on their way at a time. */
const INPUT_BYTES_MAX = 64 * 1024;

const request = JSON.parse(process.argv[2]);
// The guest's terminal is as large as ours.
const { columns = 80, rows = 24 } = process.stdout;
Object.assign(request, { columns, rows });

/** Every file below a directory of the host, to be put into the guest. */
async function* filesBelow(host, guest) {
  const { mode } = await stat(host);
  yield { host, guest, mode: mode & 0o7777, directory: (await stat(host)).isDirectory() };
  if (!(await stat(host)).isDirectory()) return;
  for (const name of await readdir(host)) yield* filesBelow(join(host, name), `${guest}/${name}`);
}

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Copies a directory into the guest; returns digests of its files by their paths in the guest. */
async function bind(page, { host, guest }) {
  const copied = new Map();
  for await (const file of filesBelow(host, guest)) {
    if (file.directory) {
      const made = await page.evaluate((path) => globalThis.box.run(["mkdir", "-p", path], { user: "root" }), file.guest);
      if (made.status !== 0) throw new Error(`--bind: ${made.stderr}`);
    } else {
      const data = await readFile(file.host);
      await page.evaluate(([path, text, mode]) => {
        const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
        return globalThis.box.putFile(path, bytes, mode);
      }, [file.guest, data.toString("base64"), file.mode]);
      copied.set(file.guest, digest(data));
    }
  }
  return copied;
}

/**
 * Copies back what the guest has changed in a bound directory: new and other bytes, and files that are gone. What it has
 * not changed may have changed here meanwhile, as the file that its output goes to, and stays.
 */
async function copyBack(page, { host, guest }, copied) {
  const found = await page.evaluate((path) => globalThis.box.run(["find", path, "-type", "f"], { user: "root" }), guest);
  if (found.status !== 0) throw new Error(`--bind: looking for changes in ${guest}: ${found.stderr}`);
  const present = found.stdout.split("\n").filter(Boolean);
  const onHost = (path) => join(host, path.slice(guest.length));
  for (const path of present) {
    const text = await page.evaluate(async (file) => globalThis.encode(await globalThis.box.getFile(file)), path);
    const bytes = Buffer.from(text, "base64");
    if (copied.get(path) === digest(bytes)) continue;
    await mkdir(dirname(onHost(path)), { recursive: true });
    await writeFile(onHost(path), bytes);
  }
  for (const path of copied.keys()) {
    if (!present.includes(path)) await rm(onHost(path), { force: true });
  }
}

/** Passes standard input on, piece by piece, each after the one before has been taken. */
async function feedInput(page) {
  try {
    for await (const chunk of process.stdin) {
      for (let at = 0; at < chunk.length; at += INPUT_BYTES_MAX) {
        const text = chunk.subarray(at, at + INPUT_BYTES_MAX).toString("base64");
        await page.evaluate((piece) => globalThis.feed(piece), text);
      }
    }
    await page.evaluate(() => globalThis.endInput());
  } catch {
    // The program ended first.
  }
}

/** Resolves to the status of `SIGPIPE` when our output has nowhere to go. */
const nobodyReads = new Promise((resolve) => {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => resolve(128 + 13));
});

async function run(page) {
  const write = (stream, text) => (stream === 2 ? process.stderr : process.stdout).write(Buffer.from(text, "base64"));
  await page.exposeFunction("hostWrite", write);
  await page.exposeFunction("hostLog", (line) => process.stderr.write(`edgebox: ${line}\n`));
  await page.evaluate(async ({ image, engine, columns, rows }) => {
    const { Box } = await import("/page/box.js");
    // In pieces: the arguments of a function call are limited.
    globalThis.encode = (bytes) => {
      let text = "";
      for (let at = 0; at < bytes.length; at += 8192) {
        text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      }
      return btoa(text);
    };
    globalThis.decode = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    // One after another, so that nothing overtakes.
    globalThis.sent = Promise.resolve();
    globalThis.send = (stream, bytes) => {
      const text = globalThis.encode(bytes);
      globalThis.sent = globalThis.sent.then(() => globalThis.hostWrite(stream, text));
      return globalThis.sent;
    };
    globalThis.box = await Box.start({
      image, engine, columns, rows,
      onConsole: (bytes) => globalThis.send(1, bytes),
      onLog: (line) => globalThis.hostLog(line),
      onTrouble: ({ text }) => globalThis.hostLog(text),
    });
  }, request);
  const copied = [];
  for (const each of request.binds) copied.push(await bind(page, each));
  await page.evaluate(async ({ argv, env, cwd, user, tty }) => {
    const { box, send, decode } = globalThis;
    const options = {
      env, cwd, user, tty,
      onStdout: (bytes) => send(1, bytes),
      onStderr: (bytes) => send(2, bytes),
    };
    const started = await box.spawn(argv, options);
    globalThis.started = started;
    globalThis.feed = (text) => (tty ? box.write(decode(text)) : started.write(decode(text)));
    globalThis.endInput = () => (tty ? undefined : started.closeInput());
  }, request);
  feedInput(page);
  for (const [name, number] of [["SIGINT", 2], ["SIGTERM", 15], ["SIGHUP", 1], ["SIGQUIT", 3]]) {
    process.on(name, () => page.evaluate((signal) => globalThis.started.signal(signal), number).catch(() => {}));
  }
  if (request.tty) {
    process.stdin.setRawMode?.(true);
    // Node leaves this on, and the guest's terminal has done it already. Everything is put back when node ends.
    spawnSync("stty", ["-opost"], { stdio: ["inherit", "ignore", "ignore"] });
    process.stdout.on("resize", () => {
      const { columns, rows } = process.stdout;
      page.evaluate(([c, r]) => globalThis.box.resize(c, r), [columns, rows]).catch(() => {});
    });
  }
  const exited = page.evaluate(async () => {
    const exit = await globalThis.started.exited;
    await globalThis.sent;
    return exit.status;
  });
  // It is cut short where nobody reads any more, as a program of the host would be.
  exited.catch(() => {});
  const status = await Promise.race([exited, nobodyReads]);
  for (const [index, each] of request.binds.entries()) await copyBack(page, each, copied[index]);
  if (request.stats) {
    const stats = await page.evaluate(() => globalThis.box.stats());
    process.stderr.write(`${JSON.stringify(stats)}\n`);
  }
  return status;
}

const server = await serve(request);
const profile = await mkdtemp(join(tmpdir(), "edgebox-chromium-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: request.chromium, args: FLAGS, headless: true, handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false,
});
let status = 1;
try {
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/page/headless.html`);
  status = await run(page);
} catch (error) {
  // Playwright's message holds a stack; its first line says what happened.
  const [what] = error.message.replace(/^page\.evaluate: (Error: )?/, "").split("\n");
  process.stderr.write(`edgebox: ${what}\n`);
  if (what.includes("ENOENT")) status = 127;
  else if (/: E[A-Z]+ \(/.test(what)) status = 126;
} finally {
  await context.close();
  server.close();
  await rm(profile, { recursive: true, force: true });
}
process.exit(status);
