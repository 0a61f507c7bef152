// A 32-bit Debian in the page.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { TerminalPage, openBrowser } from "./terminal.mjs";

let browser;
/** @type {TerminalPage} */
let terminal;

before(async () => {
  browser = await openBrowser();
  const url = new URL(process.env.EDGEBOX_URL);
  url.searchParams.set("image", "i386");
  terminal = await TerminalPage.open(browser, url.href);
});

after(() => browser.close());

test("it boots to a shell for i386", async () => {
  await terminal.waitForPrompt();
  assert.match(await terminal.run("file -L /proc/$$/exe"), /ELF 32-bit LSB .*Intel 80386/);
  assert.equal(await terminal.run("getconf LONG_BIT"), "32");
});

test("its programs run, compiled", async () => {
  assert.equal(await terminal.run("seq 1 20000 | sort -rn | head -n 2"), "20000\n19999");
  // The last digits are those of x87, which sums in 64 bits: from this program on a real processor.
  const sum = "print(sum(i * i for i in range(300000)), sum(1 / i for i in range(1, 100001)))";
  assert.equal(await terminal.run(`python3 -c '${sum}'`), "8999955000050000 12.090146129863282");
});

test("a process is stopped and ended by keys", async () => {
  const from = await terminal.length();
  await terminal.type("cat");
  await terminal.press("Enter");
  await terminal.waitUntilRunning(from);
  await terminal.press("Control+c");
  await terminal.waitForPrompt(from);
  assert.equal(await terminal.run("echo $?"), "130");
});
