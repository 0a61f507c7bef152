// The main job, end to end: the page served by wrangler dev, in headless Chromium, by keyboard.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { TerminalPage, openBrowser } from "./terminal.mjs";

const url = process.env.EDGEBOX_URL;
let browser;
/** @type {TerminalPage} */
let terminal;

before(async () => {
  browser = await openBrowser();
  terminal = await TerminalPage.open(browser, url);
});

after(() => browser.close());

test("a prompt appears, and the page says that changes are lost", async () => {
  await terminal.waitForPrompt();
  assert.match(await terminal.page.textContent("footer"), /lost when this page is reloaded/);
});

test("uname -m", async () => {
  assert.equal(await terminal.run("uname -m"), "x86_64");
});

test("ls -la /", async () => {
  const listing = await terminal.run("ls -la /");
  assert.match(listing, /^drwxr-xr-x\s+\d+ root\s+root\s.* etc$/m);
  assert.match(listing, /^lrwxrwxrwx\s.* bin -> usr\/bin$/m);
  assert.match(listing, /^drwxrwxrwt\s.* tmp$/m);
});

test("a pipeline of four programs", async () => {
  assert.equal(await terminal.run("seq 1 1000 | grep 7 | sort -rn | head -n 3"), "997\n987\n979");
});

test("a background job brought to the foreground and interrupted", async () => {
  assert.match(await terminal.run("sleep 1000 &"), /^\[1\] \d+$/);
  assert.match(await terminal.run("jobs"), /^\[1\]\+\s+Running\s+sleep 1000 &$/);
  const from = await terminal.length();
  await terminal.type("fg");
  await terminal.press("Enter");
  await terminal.waitFor(/fg\nsleep 1000$/, from);
  await terminal.press("Control+c");
  await terminal.waitFor(/\^C\n.*\$$/, from);
  assert.equal(await terminal.run("echo $?"), "130");
});

test("a job stopped with Ctrl-Z and continued", async () => {
  const from = await terminal.length();
  await terminal.type("cat");
  await terminal.press("Enter");
  // Only once it runs: a shell that still edits its line reads what is typed ahead.
  await terminal.waitUntilRunning(from);
  await terminal.press("Control+z");
  await terminal.waitFor(/\[1\]\+\s+Stopped\s+cat/, from);
  await terminal.waitForPrompt(from);
  await terminal.type("fg");
  await terminal.press("Enter");
  await terminal.waitFor(/fg\ncat$/, from);
  await terminal.type("echoed");
  await terminal.press("Enter");
  await terminal.waitFor(/echoed\nechoed$/, from);
  await terminal.press("Control+d");
  await terminal.waitForPrompt(from);
});

test("vi edits and saves a file", async () => {
  await terminal.type("vi note.txt");
  await terminal.press("Enter");
  await terminal.waitFor(/"note\.txt" \[New/);
  await terminal.type("ifirst line");
  await terminal.press("Enter");
  await terminal.type("second line");
  await terminal.press("Escape");
  await terminal.type(":wq");
  await terminal.press("Enter");
  await terminal.waitForPrompt();
  assert.equal(await terminal.run("cat note.txt"), "first line\nsecond line");
});

test("python3 with floats and unicode", async () => {
  const program = "python3 -c 'import math; print(0.1+0.2, math.pi, 1e300*1e10, \"é漢🙂\", len(\"é漢🙂\"))'";
  assert.equal(await terminal.run(program), "0.30000000000000004 3.141592653589793 inf é漢🙂 3");
});

test("gcc hello.c && ./a.out", async () => {
  await terminal.run("printf '#include <stdio.h>\\nint main(void){printf(\"hello %%.3f\\\\n\", 2.0/3);}\\n' > hello.c");
  assert.equal(await terminal.run("gcc hello.c && ./a.out"), "hello 0.667");
});

test("a program that dereferences NULL", async () => {
  await terminal.run("echo 'int main(void){return *(volatile int*)0;}' > null.c && gcc null.c -o null");
  assert.match(await terminal.run("./null"), /Segmentation fault/);
  assert.equal(await terminal.run("./null 2>&-; echo $?").then((text) => text.split("\n").at(-1)), "139");
});

test("stty size after a resize", async () => {
  const sizeOf = () => terminal.page.evaluate(() => `${globalThis.terminal.rows} ${globalThis.terminal.cols}`);
  assert.equal(await terminal.run("stty size"), await sizeOf());
  await terminal.page.setViewportSize({ width: 800, height: 500 });
  await terminal.page.waitForTimeout(300);
  const size = await sizeOf();
  assert.equal(await terminal.run("stty size"), size);
  assert.equal(await terminal.run("trap 'echo resized' WINCH; stty size"), size);
  const from = await terminal.length();
  await terminal.page.setViewportSize({ width: 1000, height: 640 });
  await terminal.page.waitForTimeout(300);
  await terminal.press("Enter");
  await terminal.waitFor(/resized/, from);
  await terminal.run("trap - WINCH");
});

test("a UTF-8 file name typed and listed", async () => {
  await terminal.run("mkdir names && touch names/é漢🙂");
  assert.equal(await terminal.run("ls names"), "é漢🙂");
  // A character erased is one character, not one byte.
  const from = await terminal.length();
  await terminal.type("cat");
  await terminal.press("Enter");
  await terminal.waitUntilRunning(from);
  await terminal.page.keyboard.insertText("aéü");
  await terminal.waitFor(/\naéü$/, from);
  await terminal.press("Backspace", "Backspace");
  await terminal.waitFor(/\na$/, from);
  await terminal.press("Control+c");
  await terminal.waitForPrompt(from);
});

test("rows are high enough for underscores", async () => {
  await terminal.run("printf '____\\n    \\n'");
  const y = await terminal.page.evaluate(() => globalThis.terminal.buffer.active.cursorY);
  const picture = (row) => terminal.page.locator(".xterm-rows > div").nth(row).screenshot();
  assert.notDeepEqual(await picture(y - 2), await picture(y - 1));
});

test("text is copied and pasted", async () => {
  await terminal.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await terminal.run("echo 'é漢🙂 copied'");
  await terminal.page.evaluate(() => globalThis.terminal.selectAll());
  await terminal.press("Control+Shift+C");
  const copied = await terminal.page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /\né漢🙂 copied\n/);
  await terminal.page.evaluate(() => navigator.clipboard.writeText("echo pasted-é漢🙂"));
  const from = await terminal.length();
  await terminal.press("Control+Shift+V");
  await terminal.waitFor(/echo pasted-é漢🙂$/, from);
  await terminal.press("Enter");
  await terminal.waitFor(/\npasted-é漢🙂\n/, from);
});

test("the page API: run, files, exit status", async () => {
  const outcome = await terminal.page.evaluate(async () => {
    const { box } = globalThis;
    await box.putFile("/tmp/from-page", "one\ntwo\n", 0o644);
    const counted = await box.run(["/bin/sh", "-c", "wc -l < /tmp/from-page; echo oops >&2; exit 3"]);
    const fed = await box.run(["tr", "a-z", "A-Z"], { stdin: "shout", user: "user" });
    const killed = await box.run(["sh", "-c", "kill -TERM $$"]);
    await box.run(["sh", "-c", "echo back > /tmp/to-page"]);
    const file = new TextDecoder().decode(await box.getFile("/tmp/to-page"));
    return { counted, fed: fed.stdout, killed, file };
  });
  assert.deepEqual(outcome, {
    counted: { status: 3, signal: null, stdout: "2\n", stderr: "oops\n" },
    fed: "SHOUT",
    killed: { status: 143, signal: 15, stdout: "", stderr: "" },
    file: "back\n",
  });
});

test("the page API: who waits for a machine that is stopped hears of it", async () => {
  const outcome = await terminal.page.evaluate(async () => {
    const { Box } = await import("/page/box.js");
    const box = await Box.start();
    const { exited } = await box.spawn(["sleep", "1000"]);
    const stats = box.stats();
    box.stop();
    const reason = (promise) => promise.then(() => "no failure", (error) => error.message);
    return [await reason(exited), await reason(stats), await reason(box.stats())];
  });
  assert.deepEqual(outcome, Array(3).fill("the machine was stopped"));
});
