// What can go wrong, and what the page and the guest make of it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { TerminalPage, openBrowser } from "./terminal.mjs";

const url = process.env.EDGEBOX_URL;
const CHUNKS = "**/disk/chunks/*";
const MANIFEST = "**/disk/manifests/*";
let browser;

before(async () => { browser = await openBrowser(); });
after(() => browser.close());

/** A page whose requests matching `pattern` go through `handler`. */
async function openWith(pattern, handler, options = {}) {
  const terminal = await TerminalPage.open(browser, "about:blank", options);
  await terminal.page.context().route(pattern, handler);
  await terminal.page.goto(url);
  return terminal;
}

async function waitForStatus({ page }, pattern) {
  await page.waitForFunction(
    (source) => new RegExp(source).test(document.getElementById("status").textContent), pattern.source,
  );
  return page.textContent("#status");
}

/** Answers with the real response's headers and other bytes. */
async function tampered(route, change) {
  const response = await route.fetch();
  const headers = { ...response.headers() };
  delete headers["content-encoding"];
  delete headers["content-length"];
  await route.fulfill({ status: 200, headers, body: change(Buffer.from(await response.body())) });
}

/** Delivers every chunk damaged the first time, one way or another. */
function damagedOnce() {
  const seen = new Set();
  return (route) => {
    const address = route.request().url();
    if (seen.has(address)) return route.continue();
    seen.add(address);
    const isTruncated = seen.size % 2 === 0;
    return tampered(route, (bytes) => {
      if (isTruncated) return bytes.subarray(0, 1000);
      bytes[100] ^= 1;
      return bytes;
    });
  };
}

/** Delivers a manifest without packs, so that everything is read out of chunks. */
const withoutPacks = (route) => tampered(route, (bytes) => JSON.stringify({ ...JSON.parse(bytes), packs: [] }));

test("boot packs that arrive corrupt or truncated once are fetched again", async () => {
  const terminal = await openWith(CHUNKS, damagedOnce());
  await terminal.waitForPrompt();
  const { refetches, requests, packsLost } = await terminal.page.evaluate(() => globalThis.box.stats());
  assert.ok(refetches > 0 && requests === 2 * refetches, `${refetches} refetches, ${requests} requests`);
  assert.equal(packsLost, 0);
  await terminal.close();
});

test("chunks that arrive corrupt or truncated once are fetched again", async () => {
  const terminal = await TerminalPage.open(browser, "about:blank");
  await terminal.page.context().route(MANIFEST, withoutPacks);
  await terminal.page.context().route(CHUNKS, damagedOnce());
  await terminal.page.goto(url);
  await terminal.waitForPrompt();
  const { refetches } = await terminal.page.evaluate(() => globalThis.box.stats());
  assert.ok(refetches > 20, `${refetches} refetches`);
  await terminal.close();
});

test("a chunk that stays corrupt is named", async () => {
  const terminal = await openWith(CHUNKS, (route) => tampered(route, (bytes) => bytes.reverse()));
  const status = await waitForStatus(terminal, /could not be started/);
  assert.match(status, /[0-9a-f]{64}/);
  await terminal.close();
});

test("a manifest of another version", async () => {
  const terminal = await openWith(MANIFEST, (route) => tampered(route, (bytes) => {
    const manifest = JSON.parse(bytes);
    return JSON.stringify({ ...manifest, version: manifest.version + 1 });
  }));
  assert.match(await waitForStatus(terminal, /could not be started/), /version 2/);
  await terminal.close();
});

test("a disk that is not ext2", async () => {
  const terminal = await openWith(MANIFEST, (route) => tampered(route, (bytes) => {
    const manifest = JSON.parse(bytes);
    manifest.image.index_root = "0".repeat(64);
    return JSON.stringify({ ...manifest, packs: [] });
  }));
  assert.match(await waitForStatus(terminal, /could not be started/), /ext2/);
  await terminal.close();
});

test("an image that does not exist", async () => {
  const terminal = await TerminalPage.open(browser, `${url}/?image=nothing`);
  assert.match(await waitForStatus(terminal, /could not be started/), /no image named "nothing"/);
  await terminal.close();
});

test("a page that is not cross-origin isolated says so and why", async () => {
  const terminal = await openWith(`${url}/`, async (route) => {
    const response = await route.fetch();
    const headers = { ...response.headers() };
    delete headers["cross-origin-opener-policy"];
    delete headers["cross-origin-embedder-policy"];
    await route.fulfill({ response, headers });
    // Otherwise the service worker would see to it.
  }, { serviceWorkers: "block" });
  await waitForStatus(terminal, /can't run/);
  assert.match(await terminal.text(), /cross-origin isolated[^]*Cross-Origin-Opener-Policy/);
  await terminal.close();
});

test("a server that goes away: the guest waits, the page says so, and it goes on", async () => {
  const terminal = await TerminalPage.open(browser, url);
  await terminal.waitForPrompt();
  await terminal.page.context().route(CHUNKS, (route) => route.abort("connectionrefused"));
  const from = await terminal.length();
  await terminal.type("python3 -c 'print(6*7)'");
  await terminal.press("Enter");
  await waitForStatus(terminal, /can't be reached/);
  // The page itself goes on: what is typed is echoed, at the latest when the shell is back.
  await terminal.page.context().unroute(CHUNKS);
  await terminal.waitFor(/\n42\n/, from);
  assert.doesNotMatch(await terminal.page.textContent("#status"), /can't be reached/);
  await terminal.close();
});

test("a server that restarts in the middle of a boot: those who wait go on when it is back", async () => {
  let isUp = true;
  let answered = 0;
  const terminal = await TerminalPage.open(browser, "about:blank");
  await terminal.page.context().route(MANIFEST, withoutPacks);
  await terminal.page.context().route(CHUNKS, async (route) => {
    if (!isUp) return route.abort("connectionrefused");
    answered += 1;
    // Some chunks into it, connections are refused, and so are those that were accepted a moment before.
    if (answered === 10) isUp = false;
    return isUp ? route.continue() : route.abort("connectionreset");
  });
  await terminal.page.goto(url);
  await waitForStatus(terminal, /can't be reached/);
  assert.equal(answered, 10, "the boot is not over");
  isUp = true;
  await terminal.waitForPrompt();
  assert.equal(await terminal.run("echo $((6 * 7))"), "42");
  await terminal.close();
});

test("a server that fails for a while, or says that it is overloaded, is asked again", async () => {
  const seen = new Map();
  const terminal = await openWith(CHUNKS, (route) => {
    const address = route.request().url();
    const times = (seen.get(address) ?? 0) + 1;
    seen.set(address, times);
    const status = [500, 503, 429][times - 1];
    return status ? route.fulfill({ status, body: "later" }) : route.continue();
  });
  await terminal.waitForPrompt();
  const { packsLost } = await terminal.page.evaluate(() => globalThis.box.stats());
  assert.deepEqual([packsLost, Math.max(...seen.values())], [0, 4]);
  await terminal.close();
});

test("a server that is slow only makes the guest wait", async () => {
  let under = 0;
  let most = 0;
  const terminal = await openWith(CHUNKS, async (route) => {
    under += 1;
    most = Math.max(most, under);
    await new Promise((resolve) => { setTimeout(resolve, 1000); });
    under -= 1;
    return route.continue();
  });
  await terminal.waitForPrompt();
  assert.ok(most > 1, "the boot's packs are asked for side by side");
  assert.match(await terminal.page.textContent("#status"), /^ready: /);
  await terminal.close();
});

test("a tab that was opened before a deployment goes on with what it has", async () => {
  const terminal = await TerminalPage.open(browser, url);
  await terminal.waitForPrompt();
  // All that has a name of its own is another version now, and of the old page and engine nothing is left.
  const asked = [];
  await terminal.page.context().route("**/*", (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname.startsWith("/disk/chunks/")) return route.continue();
    asked.push(pathname);
    return route.fulfill({ status: pathname.startsWith("/disk/") ? 200 : 404, body: '{"format":"edgebox-disk","version":99}' });
  });
  assert.equal((await terminal.page.evaluate(() => globalThis.box.run(["python3", "-c", "print(6 * 7)"]))).stdout, "42\n");
  assert.deepEqual(asked, []);
  await terminal.close();
});

test("unknown instructions, unknown system calls and foreign programs", async () => {
  const terminal = await TerminalPage.open(browser, url);
  await terminal.waitForPrompt();
  // An AVX instruction, which CPUID does not claim.
  await terminal.run("echo '__asm__(\".globl main\\nmain: .byte 0xc5,0xf4,0x58,0xc2\");' > avx.c && gcc avx.c -o avx");
  assert.match(await terminal.run("./avx; echo $?"), /Illegal instruction[^]*132$/);
  assert.match(terminal.messages.join("\n"), /unknown instruction[^\n]*c5 f4 58 c2/);
  const call = "python3 -c 'import ctypes, os; c = ctypes.CDLL(None, use_errno=True); "
    + "print([c.syscall(9999), c.syscall(9999)], os.strerror(ctypes.get_errno()))'";
  assert.equal(await terminal.run(call), "[-1, -1] Function not implemented");
  assert.equal(terminal.messages.filter((line) => line.includes("9999")).length, 1);
  await terminal.page.evaluate(() => {
    const header = new Uint8Array(64);
    header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
    // ET_EXEC for AArch64.
    header.set([2, 0, 183, 0, 1], 16);
    return globalThis.box.putFile("/tmp/foreign", header, 0o755);
  });
  assert.match(await terminal.run("/tmp/foreign; echo $?"), /cannot execute[^]*126$/);
  await terminal.close();
});
