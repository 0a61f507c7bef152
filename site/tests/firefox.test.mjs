// What runs in Chromium runs in Firefox, compiled: another compiler of WebAssembly, other limits.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test as declare } from "node:test";

import { Firefox } from "./firefox.mjs";

const url = new URL("page/headless.html", process.env.EDGEBOX_URL);
const test = (name, body) => declare(name, { timeout: 180_000 }, body);

/** @type {Firefox} */
let firefox;

before(async () => {
  firefox = await Firefox.open(url.href);
  await firefox.evaluate(async () => {
    const { Box } = await import("/page/box.js");
    globalThis.logs = [];
    globalThis.box = await Box.start({ onLog: (line) => globalThis.logs.push(line) });
  });
});

after(() => firefox?.close());

const run = (...argv) => firefox.evaluate((words) => globalThis.box.run(words), argv);
const stats = () => firefox.evaluate(() => globalThis.box.stats());

/** Runs a program and expects what it prints, and that nothing is refused. */
async function prints(expected, ...argv) {
  const { status, stdout, stderr } = await run(...argv);
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: expected, stderr: "" });
  assert.equal((await stats()).refused, 0, "regions Firefox would not compile");
}

test("the page is isolated and the machine starts", async () => {
  assert.equal(await firefox.evaluate(() => globalThis.crossOriginIsolated), true);
  await prints("x86_64\n", "uname", "-m");
});

test("hot loops are compiled: integers, floating point, strings", async () => {
  const before = await stats();
  await prints("333332833333500000\n", "python3", "-c", "print(sum(i * i for i in range(1000000)))");
  await prints("1.6449240668982423\n", "python3", "-c", "print(sum(1 / (i * i) for i in range(1, 100001)))");
  const numbers = Array.from({ length: 20000 }, (_, i) => `${i + 1}\n`).join("");
  const sum = createHash("sha256").update(numbers).digest("hex");
  await prints(`${sum}  -\n`, "sh", "-c", "seq 20000 | sha256sum");
  assert.ok((await stats()).regions > before.regions + 20, "regions have been compiled");
});

test("gcc compiles a program, and that runs", async () => {
  const source = "int printf(const char *, ...); int main(void) { for (int i = 0; i < 3; i++) printf(\"%d\\n\", i * i); }";
  await prints("0\n1\n4\n", "sh", "-c", `cd /tmp && printf %s '${source}' > a.c && gcc -O2 a.c -o a && ./a`);
});

test("processes, pipes and signals", async () => {
  await prints("500\n", "sh", "-c", "seq 1000 | grep -c '[02468]$'");
  const { status } = await run("sh", "-c", "sh -c 'kill -SEGV $$'; exit $?");
  assert.equal(status, 139);
});

test("what was loaded of the disk is kept: another machine loads nothing", async () => {
  const outcome = await firefox.evaluate(async () => {
    while (!(await globalThis.box.stats()).isKept) await new Promise((resolve) => { setTimeout(resolve, 50); });
    const { Box } = await import("/page/box.js");
    const box = await Box.start();
    const { stdout } = await box.run(["uname", "-m"]);
    const { requests, kept, refetches } = await box.stats();
    box.stop();
    return { stdout, requests, kept: kept > 0, refetches };
  });
  assert.deepEqual(outcome, { stdout: "x86_64\n", requests: 0, kept: true, refetches: 0 });
});
