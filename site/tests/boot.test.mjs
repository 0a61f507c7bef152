// What a boot loads: boot packs instead of chunks, and nothing of the disk when this browser has had it before.
import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, test as declare } from "node:test";

import { TerminalPage, openBrowser } from "./terminal.mjs";

const url = process.env.EDGEBOX_URL;
const MANIFEST = "**/disk/manifests/*";
const MEGABYTES = 1e6;
const test = (name, body) => declare(name, { timeout: 180_000 }, body);

let browser;
/** A tab of a browser that has loaded nothing yet. @type {TerminalPage} */
let terminal;

before(async () => { browser = await openBrowser(); });
after(() => browser?.close());
beforeEach(async () => { terminal = await TerminalPage.open(browser, "about:blank"); });
afterEach(() => terminal.close());

const stats = () => terminal.page.evaluate(() => globalThis.box.stats());

/** Loads the page; returns what that took until the prompt. */
async function boot() {
  await terminal.page.goto(url);
  await terminal.waitForPrompt();
  return { ...(await stats()), traffic: await terminal.traffic() };
}

const manifest = async () => (await fetch(new URL("disk/manifests/default.json", url))).json();
/** Packs of the boot, without those of programs. */
const bootPacks = async () => (await manifest()).packs.filter(({ on }) => on === undefined);

/** Answers requests for the manifest with one that was changed. */
async function withManifest(change) {
  const changed = JSON.stringify(change(await manifest()));
  await terminal.page.context().route(MANIFEST, (route) => route.fulfill({ contentType: "application/json", body: changed }));
}

/** Does something with what this browser keeps: a function of database and table, whose last request's result it is. */
const inStore = (table, action) => terminal.page.evaluate(([table, action]) => new Promise((resolve, reject) => {
  const opening = indexedDB.open("edgebox-disk");
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const transaction = opening.result.transaction(table, "readwrite");
    const request = new Function("store", `return (${action})(store)`)(transaction.objectStore(table));
    transaction.oncomplete = () => { opening.result.close(); resolve(request?.result); };
    transaction.onabort = () => reject(transaction.error);
  };
}), [table, String(action)]);

test("the first time, packs are all that is loaded of the disk", async () => {
  const packs = await bootPacks();
  assert.ok(packs.length > 0, "the image has a boot profile");
  const first = await boot();
  assert.deepEqual([first.requests, first.kept, first.packsLost], [packs.length, 0, 0]);
  assert.ok(first.traffic.requests < 15, `${first.traffic.requests} requests`);
  assert.ok(first.traffic.bytes < 4 * MEGABYTES, `${first.traffic.bytes} bytes`);
});

test("the second time, nothing is loaded of the disk, with an empty HTTP cache too", async () => {
  const { requests: packs } = await boot();
  await terminal.waitUntilKept();
  for (const isHttpCacheEmpty of [false, true]) {
    if (isHttpCacheEmpty) await terminal.emptyHttpCache();
    const { requests, kept: found, traffic } = await boot();
    assert.deepEqual([requests, found], [0, packs]);
    assert.equal(traffic.diskRequests, 1, "the manifest is asked for");
    // All of it if the HTTP cache has lost it, nothing but headers otherwise.
    assert.ok(traffic.diskBytes < (isHttpCacheEmpty ? 20_000 : 1000), `${traffic.diskBytes} bytes`);
  }
});

const python = () => terminal.page.evaluate(() => globalThis.box.run(["python3", "-c", "print(6 * 7)"]));

test("a program of the image's profile comes in packs, and is there the next time as well", async () => {
  const { requests: before } = await boot();
  assert.equal((await python()).stdout, "42\n");
  const requests = (await stats()).requests - before;
  assert.ok(requests > 0 && requests < 15, `${requests} requests`);
  await terminal.waitUntilKept();
  await boot();
  assert.equal((await python()).stdout, "42\n");
  assert.equal((await stats()).requests, 0);
});

test("what is kept and damaged is loaded again, and then right", async () => {
  const { requests: packs } = await boot();
  await terminal.waitUntilKept();
  await inStore("objects", (store) => {
    store.openCursor().onsuccess = ({ target: { result: cursor } }) => {
      if (!cursor) return;
      const bytes = cursor.value;
      bytes[bytes.length >> 1] ^= 1;
      cursor.update(bytes);
      cursor.continue();
    };
  });
  const second = await boot();
  assert.deepEqual([second.kept, second.refetches, second.requests, second.packsLost], [packs, packs, packs, 0]);
  await terminal.waitUntilKept();
  const third = await boot();
  assert.deepEqual([third.kept, third.refetches, third.requests], [packs, 0, 0]);
});

test("what is kept and is something else altogether is loaded again", async () => {
  const { requests: packs } = await boot();
  await terminal.waitUntilKept();
  await inStore("objects", (store) => {
    const others = [0, "text", new Uint8Array(0), { bytes: 7 }];
    store.getAllKeys().onsuccess = ({ target: { result: keys } }) => {
      keys.forEach((key, at) => store.put(others[at % others.length], key));
    };
  });
  const { requests, packsLost } = await boot();
  assert.deepEqual([requests, packsLost], [packs, 0]);
});

test("there is a bound on what is kept, and it is kept", async () => {
  await terminal.page.goto(new URL("page/headless.html", url).href);
  const limit = 5 * MEGABYTES;
  await terminal.page.evaluate(async (cacheBytes) => {
    const { Box } = await import("/page/box.js");
    globalThis.box = await Box.start({ cacheBytes });
    await globalThis.box.run(["python3", "-c", "import json"]);
  }, limit);
  assert.ok((await stats()).chunkBytes > limit, "more has been loaded");
  await terminal.waitUntilKept();
  const objects = await inStore("objects", (store) => store.getAll());
  const total = objects.reduce((sum, bytes) => sum + Object.keys(bytes).length, 0);
  assert.ok(total <= limit && total > limit / 4, `${total} bytes are kept`);
  assert.equal(await inStore("account", (store) => store.get("total")), total);
  const uses = await inStore("uses", (store) => store.getAll());
  assert.equal(uses.reduce((sum, { bytes }) => sum + bytes, 0), total);
});

test("a browser that has no room left goes on without", async () => {
  const session = await terminal.page.context().newCDPSession(terminal.page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(url).origin, quotaSize: 100_000 });
  const { requests: packs } = await boot();
  await terminal.waitUntilKept();
  assert.equal((await terminal.page.evaluate(() => globalThis.box.run(["uname", "-m"]))).stdout, "x86_64\n");
  const { requests, kept } = await boot();
  assert.deepEqual([requests, kept], [packs, 0]);
  assert.deepEqual(terminal.messages.filter((line) => /error/i.test(line)), []);
});

test("a browser that lets nothing be kept does without", async () => {
  // As private windows have it.
  const denied = "Object.defineProperty(self, 'indexedDB', { get() { throw new DOMException('no', 'SecurityError'); } });\n";
  await terminal.page.context().route("**/worker/main.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: denied + await response.text() });
  });
  for (let time = 0; time < 2; time += 1) {
    const { requests, kept: found } = await boot();
    assert.ok(requests > 0);
    assert.equal(found, 0);
  }
});

test("an image without a boot profile boots out of chunks", async () => {
  await withManifest(({ packs: _, ...others }) => others);
  const { requests, packsLost } = await boot();
  assert.ok(requests > 30, `${requests} requests`);
  assert.equal(packsLost, 0);
  assert.equal((await python()).stdout, "42\n");
});

test("a pack that is gone is done without", async () => {
  const packs = await bootPacks();
  await terminal.page.context().route(`**/disk/chunks/${packs[0].digest}`, (route) => route.fulfill({ status: 404 }));
  const { requests, packsLost } = await boot();
  assert.ok(requests > packs.length + 5, `${requests} requests`);
  assert.equal(packsLost, 1);
});
