// The page stays responsive whatever the machine does: the machine has a thread of its own, and yields on it.
import assert from "node:assert/strict";
import { after, before, test as declare } from "node:test";

import { TerminalPage, openBrowser } from "./terminal.mjs";

const url = process.env.EDGEBOX_URL;

/** A machine that never yields answers nothing: a test that hangs is a failed one. */
const test = (name, body) => declare(name, { timeout: 120_000 }, body);

/** For how long the guest computes while the page is watched, by the worker's own account, in milliseconds. */
const WATCHED_RUN_MS = 1500;

let browser;
/** @type {TerminalPage} */
let terminal;
let devtools;

before(async () => {
  browser = await openBrowser();
  terminal = await TerminalPage.open(browser, url);
  devtools = await terminal.page.context().newCDPSession(terminal.page);
  await devtools.send("Performance.enable");
  await terminal.waitForPrompt();
});

after(() => browser.close());

const stats = () => terminal.page.evaluate(() => globalThis.box.stats());

/** Seconds the page's thread has been busy, and seconds that have passed. */
async function usage() {
  const { metrics } = await devtools.send("Performance.getMetrics");
  const { TaskDuration: busy, Timestamp: now } = Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
  return { busy, now };
}

/** Waits until the machine has run for that long after `start` was taken. */
async function waitForRun(start) {
  let now;
  do {
    await new Promise((resolve) => setTimeout(resolve, 100));
    now = await stats();
  } while (now.runMs - start.runMs < WATCHED_RUN_MS);
  assert.ok(now.instructions > start.instructions, "the guest computes");
}

/** Starts counting frames anew. */
const countFrames = () => terminal.page.evaluate(() => {
  globalThis.frames = 0;
  const count = () => {
    globalThis.frames += 1;
    requestAnimationFrame(count);
  };
  requestAnimationFrame(count);
});

/** Types a command that never ends by itself, and does `body` while it runs; then Ctrl-C must end it. */
async function during(command, body) {
  const from = await terminal.length();
  await terminal.type(command);
  await terminal.press("Enter");
  await waitForRun(await stats());
  await body(from);
  await terminal.press("Control+c");
  await terminal.waitForPrompt(from);
}

const LOOPS = { "a shell": "while :; do :; done", "an interpreter": "python3 -c 'while True: pass'" };

for (const [who, loop] of Object.entries(LOOPS)) {
  test(`while ${who} loops, keys are echoed, frames are drawn and the page's thread has nothing to do`, async () => {
    await during(loop, async (from) => {
      await countFrames();
      const before = await usage();
      await waitForRun(await stats());
      const after = await usage();
      // A machine on this thread would take all of it; echo, progress and cursor take a twentieth.
      const share = (after.busy - before.busy) / (after.now - before.now);
      assert.ok(share < 0.5, `the page's thread is busy for ${share} of the time`);
      assert.ok(await terminal.page.evaluate(() => globalThis.frames) > 10);
      await terminal.type("é typed meanwhile");
      await terminal.waitFor(/é typed meanwhile/, from);
    });
  });
}

test("the machine goes on while the page's own thread is blocked", async () => {
  await during(LOOPS["a shell"], async () => {
    const ran = await terminal.page.evaluate(async (blockMs) => {
      const before = await globalThis.box.stats();
      const end = performance.now() + blockMs;
      while (performance.now() < end);
      const after = await globalThis.box.stats();
      return after.runMs - before.runMs;
    }, 2 * WATCHED_RUN_MS);
    // On the same thread it would be no more than the slices before and after.
    assert.ok(ran > WATCHED_RUN_MS / 4, `it ran for ${ran} ms`);
  });
});

test("a program that floods the console waits for the terminal, and Ctrl-C still ends it", async () => {
  // A terminal that takes what it is given, and shows nothing for the time being.
  await terminal.page.evaluate(() => {
    const { options } = globalThis.box;
    const show = options.onConsole;
    const held = [];
    options.onConsole = (bytes) => new Promise((resolve) => { held.push({ bytes, resolve }); });
    globalThis.heldBytes = () => held.reduce((sum, { bytes }) => sum + bytes.length, 0);
    globalThis.goOn = () => {
      options.onConsole = show;
      for (const { bytes, resolve } of held.splice(0)) Promise.resolve(show(bytes)).then(resolve);
    };
  });
  await terminal.type("yes");
  await terminal.press("Enter");
  let [before, now] = [null, await stats()];
  do {
    await new Promise((resolve) => setTimeout(resolve, 300));
    [before, now] = [now, await stats()];
  } while (now.instructions > before.instructions || await terminal.page.evaluate(() => globalThis.heldBytes()) < 1000);
  const held = await terminal.page.evaluate(() => globalThis.heldBytes());
  assert.ok(held < 256 * 1024, `${held} bytes on their way`);

  await terminal.page.evaluate(() => globalThis.goOn());
  await countFrames();
  await terminal.page.waitForFunction(() => globalThis.frames > 30);
  const after = await stats();
  assert.ok(after.instructions > now.instructions, "it goes on");
  await terminal.press("Control+c");
  await terminal.waitForPrompt();
  await terminal.page.evaluate(() => globalThis.terminal.clear());
  assert.equal(await terminal.run("echo $?"), "130");
});

test("messages to the page take along no more than their bytes", async () => {
  const kept = await terminal.page.evaluate(async () => {
    const { box } = globalThis;
    const sizes = [];
    const note = (bytes) => sizes.push([bytes.length, bytes.buffer.byteLength]);
    const show = box.options.onConsole;
    box.options.onConsole = (bytes) => {
      note(bytes);
      return show(bytes);
    };
    const { exited } = await box.spawn(["sh", "-c", "echo to a pipe; echo to the console > /dev/tty1"], { user: "root", onStdout: note });
    await exited;
    box.options.onConsole = show;
    note(await box.getFile("/etc/hostname"));
    return sizes;
  });
  assert.equal(kept.length, 3);
  for (const [length, buffer] of kept) assert.equal(buffer, length);
});
