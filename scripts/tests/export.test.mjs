// `edgebox export`: the site on a host that does nothing but serve files, below a path of its own as GitHub Pages has it; and
// as the static assets of a Worker without a bucket (edge/assets.toml).
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdtemp, open, readFile, readdir, rm, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { TerminalPage, openBrowser } from "../../site/tests/terminal.mjs";
import { startWorker } from "../servers.mjs";
import { request } from "./http.mjs";

const BASE = "/somebody/box/";
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };

let directory;
let server;
let browser;

/** A type by extension and a length are all the headers there are. */
function servePlainly(root) {
  const answer = async (incoming, outgoing) => {
    const path = normalize(decodeURIComponent(new URL(incoming.url, "http://host").pathname));
    const file = path.startsWith(BASE) ? join(root, path.slice(BASE.length) || "index.html") : undefined;
    const size = file && (await stat(file).catch(() => undefined))?.size;
    if (size === undefined) return outgoing.writeHead(404).end();
    outgoing.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream", "Content-Length": size });
    return createReadStream(file).pipe(outgoing);
  };
  return new Promise((resolve) => { const server = createServer(answer).listen(0, "127.0.0.1", () => resolve(server)); });
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "edgebox-export-"));
  await promisify(execFile)(process.env.EDGEBOX_TOOL, ["export", directory]);
  server = await servePlainly(directory);
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  server?.close();
  await rm(directory, { recursive: true, force: true });
});

test("there is one image, and what hosts of plain files need", async () => {
  assert.deepEqual(await readdir(join(directory, "disk/manifests")), ["default.json"]);
  assert.ok((await readdir(directory)).includes(".nojekyll"));
});

test("the page makes itself isolated, boots, and runs programs", { timeout: 120_000 }, async () => {
  const url = `http://127.0.0.1:${server.address().port}${BASE}`;
  const terminal = await TerminalPage.open(browser, url);
  // It has reloaded itself by then.
  await terminal.page.waitForFunction(() => globalThis.crossOriginIsolated);
  await terminal.waitForPrompt();
  const { status, stdout } = await terminal.page.evaluate(() => globalThis.box.run(["sh", "-c", "echo $((6 * 7)); cat /etc/hostname"]));
  assert.deepEqual([status, stdout.split("\n")[0]], [0, "42"]);
  const { packs } = JSON.parse(await readFile(join(directory, "disk/manifests/default.json"), "utf8"));
  const first = await terminal.page.evaluate(() => globalThis.box.stats());
  assert.ok(first.requests >= packs.filter(({ on }) => on === undefined).length);
  assert.equal(first.packsLost, 0);
  // Once more, with the service worker and what is kept of the disk already there.
  await terminal.waitUntilKept();
  await terminal.page.reload();
  await terminal.waitForPrompt();
  assert.equal((await terminal.page.evaluate(() => globalThis.box.stats())).requests, 0);
});

describe("among a Worker's static assets", () => {
  let worker;
  const start = (vars) => startWorker(join(directory, "wrangler"), vars, ["--config", "edge/assets.toml", "--assets", directory]);
  afterEach(() => worker?.stop());

  test("chunks are sent as they lie there, without the Worker; images are put together of them", { timeout: 120_000 }, async () => {
    worker = await start({});
    const get = (path, headers = {}) => request(`${worker.url}/disk/${path}`, { headers });
    const [digest] = await readdir(join(directory, "disk/chunks"));
    for (const headers of [{}, { "accept-encoding": "br" }]) {
      const chunk = await get(`chunks/${digest}`, headers);
      assert.ok(chunk.body.equals(await readFile(join(directory, "disk/chunks", digest))));
      // The Worker would have labelled or decoded it.
      assert.equal(chunk.headers["content-encoding"], undefined);
      assert.match(chunk.headers["cache-control"], /immutable/);
      assert.equal(chunk.headers["access-control-allow-origin"], "*");
      assert.equal(chunk.headers["cross-origin-resource-policy"], "cross-origin");
      assert.equal((await get(`chunks/${digest}`, { ...headers, "if-none-match": chunk.headers.etag })).status, 304);
    }
    const missing = await get(`chunks/${"0".repeat(63)}1`);
    assert.deepEqual([missing.status, missing.headers["cache-control"]], [404, "no-store"]);
    const raw = await open(process.env.EDGEBOX_RAW_IMAGE);
    const { buffer } = await raw.read(Buffer.alloc(5000), 0, 5000, 1024);
    await raw.close();
    assert.ok((await get("images/default.img", { range: "bytes=1024-6023" })).body.equals(buffer));
    const terminal = await TerminalPage.open(browser, worker.url);
    await terminal.waitForPrompt();
    const { status, stdout } = await terminal.page.evaluate(() => globalThis.box.run(["echo", "here"]));
    assert.deepEqual([status, stdout], [0, "here\n"]);
  });

  test("nobody is answered who takes that for a private deployment", async () => {
    worker = await start({ ACCESS_KEY: "0123456789abcdef0123456789abcdef" });
    for (const path of ["manifests/default.json", "images/default.img"]) {
      const { status, body } = await request(`${worker.url}/disk/${path}`);
      assert.equal(status, 503, path);
      assert.match(body.toString(), /without asking for a token/);
    }
  });
});
