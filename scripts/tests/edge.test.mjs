// The Worker over HTTP, seen as a client sees it that decodes nothing.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import http from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { brotliDecompressSync } from "node:zlib";

const url = process.env.EDGEBOX_URL;
const disk = process.env.EDGEBOX_DISK;

/** One request; the body as it came over the wire. */
function request(path, { method = "GET", headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    const sent = http.request(url + path, { method, headers }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

function assertIsolated({ headers }) {
  assert.equal(headers["cross-origin-opener-policy"], "same-origin");
  assert.equal(headers["cross-origin-embedder-policy"], "require-corp");
  assert.equal(headers["cross-origin-resource-policy"], "cross-origin");
}

const stored = (digest) => readFile(join(disk, "chunks", digest.slice(0, 2), digest));

/** The first chunk of the default image: the first that the first page of its index names. */
async function someChunk() {
  const { image } = JSON.parse(await readFile(join(disk, "manifests/default.json"), "utf8"));
  const firstOf = async (page) => brotliDecompressSync(await stored(page)).toString("hex", 0, 32);
  const digest = await firstOf(await firstOf(image.index_root));
  return { digest, bytes: await stored(digest) };
}

/** Numbers in a list such as `0-3,7`. */
const count = (list) => list.split(",").map((run) => run.split("-").map(Number)).reduce((sum, [first, last = first]) => sum + last - first + 1, 0);

test("a chunk arrives byte for byte as it is stored, as brotli, cacheable forever", async () => {
  const { digest, bytes } = await someChunk();
  const response = await request(`/disk/chunks/${digest}`, { headers: { "accept-encoding": "br" } });
  assert.equal(response.status, 200);
  assertIsolated(response);
  assert.equal(response.headers["content-encoding"], "br");
  assert.equal(response.headers["content-type"], "application/octet-stream");
  assert.match(response.headers["cache-control"], /immutable/);
  assert.equal(response.headers.etag, `W/"${digest}"`);
  assert.equal(response.headers.vary, "accept-encoding");
  assert.ok(response.body.equals(bytes));
  assert.equal(brotliDecompressSync(response.body).length, 128 * 1024);
});

test("who doesn't know brotli gets the chunk decoded", async () => {
  const { digest, bytes } = await someChunk();
  for (const headers of [{}, { "accept-encoding": "gzip" }, { "accept-encoding": "br;q=0, *" }]) {
    const response = await request(`/disk/chunks/${digest}`, { headers });
    assert.equal(response.status, 200);
    assert.equal(response.headers["content-encoding"], undefined);
    assert.equal(response.headers.etag, `"${digest}"`);
    assert.match(response.headers["cache-control"], /immutable/);
    assert.ok(response.body.equals(brotliDecompressSync(bytes)));
  }
});

test("the same chunk decoded by a client that knows brotli", async () => {
  const { digest, bytes } = await someChunk();
  const response = await fetch(`${url}/disk/chunks/${digest}`);
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(brotliDecompressSync(bytes)));
});

test("packs are served as chunks are, and have the blocks that the manifest lists", async () => {
  const { packs } = JSON.parse((await request("/disk/manifests/default.json")).body);
  assert.ok(packs.length > 0);
  for (const { digest, blocks, index } of packs) {
    const encoded = await request(`/disk/chunks/${digest}`, { headers: { "accept-encoding": "br" } });
    assert.equal(encoded.status, 200);
    assert.match(encoded.headers["cache-control"], /immutable/);
    assert.ok(encoded.body.equals(await stored(digest)));
    const decoded = await request(`/disk/chunks/${digest}`);
    assert.equal(decoded.status, 200);
    assert.ok(decoded.body.equals(brotliDecompressSync(encoded.body)));
    if (index === undefined) assert.equal(decoded.body.length, 4096 * count(blocks));
    else assert.ok(decoded.body.length > 4096 * count(blocks));
  }
});

test("HEAD has the headers, the length and no body", async () => {
  const { digest, bytes } = await someChunk();
  for (const [encoding, length] of [["br", bytes.length], ["identity", 128 * 1024]]) {
    const response = await request(`/disk/chunks/${digest}`, { method: "HEAD", headers: { "accept-encoding": encoding } });
    assert.equal(response.status, 200);
    assertIsolated(response);
    assert.equal(Number(response.headers["content-length"]), length);
    assert.equal(response.body.length, 0);
  }
});

test("whoever has a chunk is told so", async () => {
  const { digest } = await someChunk();
  const response = await request(`/disk/chunks/${digest}`, { headers: { "if-none-match": `"${digest}"` } });
  assert.equal(response.status, 304);
  assertIsolated(response);
  assert.equal(response.body.length, 0);
});

test("a manifest is JSON and asked for again every time", async () => {
  const response = await request("/disk/manifests/default.json");
  assert.equal(response.status, 200);
  assertIsolated(response);
  assert.equal(response.headers["content-type"], "application/json");
  assert.match(response.headers["cache-control"], /no-cache/);
  assert.ok(response.body.equals(await readFile(join(disk, "manifests", "default.json"))));
  const again = await request("/disk/manifests/default.json", { headers: { "if-none-match": response.headers.etag } });
  assert.equal(again.status, 304);
});

for (const [status, method, path] of [
  [404, "GET", `/disk/chunks/${"1".repeat(64)}`],
  [404, "GET", "/disk/manifests/nothing.json"],
  [404, "GET", "/disk/"],
  [404, "GET", "/no/such/page"],
  [400, "GET", "/disk/chunks/xyz"],
  [400, "GET", `/disk/chunks/${"0".repeat(64)}`],
  [400, "GET", "/disk/manifests/..%2f..%2fsecret.json"],
  [404, "GET", "/disk/images/nothing.img"],
  [400, "GET", "/disk/images/default"],
  [405, "POST", `/disk/chunks/${"1".repeat(64)}`],
  [405, "DELETE", "/disk/manifests/default.json"],
]) {
  test(`${method} ${path.slice(0, 40)} is ${status}`, async () => {
    const response = await request(path, { method });
    assert.equal(response.status, status);
    assertIsolated(response);
    assert.equal(response.headers["cache-control"], "no-store");
    assert.match(response.body.toString(), /\.\n$/, "a sentence says why");
    if (status === 405) assert.equal(response.headers.allow, "GET, HEAD, OPTIONS");
  });
}

test("scripts of other origins may read, and ask beforehand", async () => {
  const headers = { origin: "https://docs.example", "access-control-request-method": "GET", "access-control-request-headers": "range" };
  const preflight = await request("/disk/images/default.img", { method: "OPTIONS", headers });
  assert.equal(preflight.status, 204);
  assertIsolated(preflight);
  assert.equal(preflight.headers["access-control-allow-origin"], "*");
  assert.equal(preflight.headers["access-control-allow-headers"], "*, authorization");
  const response = await request("/disk/manifests/default.json", { headers: { origin: "https://docs.example" } });
  assert.equal(response.headers["access-control-allow-origin"], "*");
});

for (const [path, type] of [
  ["/", /^text\/html/],
  ["/engine/vm_bg.wasm", /^application\/wasm$/],
  ["/worker/main.js", /javascript/],
  ["/page/main.js", /javascript/],
  ["/page/box.js", /javascript/],
  ["/page/style.css", /^text\/css/],
]) {
  test(`${path} is served isolated and with its type`, async () => {
    const response = await request(path);
    assert.equal(response.status, 200);
    assertIsolated(response);
    assert.match(response.headers["content-type"], type);
  });
}
