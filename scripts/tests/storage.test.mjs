// The Worker over both kinds of storage, and what it makes of disks that are damaged.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, open, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { brotliCompressSync, brotliDecompressSync } from "node:zlib";

import { createTestHarness } from "wrangler";

import { request } from "./http.mjs";

const run = promisify(execFile);
const project = join(import.meta.dirname, "../..");
const CHUNK_BYTES = 128 * 1024;
const TIB = 2 ** 40;

/** What can become of a chunk's file, and what the Worker says of it. */
const FAULTS = {
  missing: { damage: () => null, status: 404, text: /There is no chunk/ },
  truncated: { damage: (bytes) => bytes.subarray(0, bytes.length >> 1), status: 502, text: /not a complete brotli stream/ },
  empty: { damage: () => Buffer.alloc(0), status: 502, text: /not a complete brotli stream/ },
  garbage: { damage: (bytes) => Buffer.from(bytes.map((byte) => byte ^ 0x5a)), status: 502, text: /not a complete brotli stream|has the digest/ },
  exchanged: { damage: () => brotliCompressSync(Buffer.from("something else")), status: 502, text: /has the digest/ },
  bomb: { damage: () => brotliCompressSync(Buffer.alloc(64 << 20)), status: 502, text: /decodes to more than/ },
};
/** The chunk it happens to. */
const VICTIM = 20;

let directory;

/** A chunk's bytes: noise, different for every image and chunk, that brotli can do something about. */
function noise(seed, chunk) {
  const bytes = Buffer.alloc(CHUNK_BYTES);
  let state = (seed * 1000 + chunk + 1) >>> 0;
  for (let at = 0; at < CHUNK_BYTES; at += 2) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** Every fifth chunk is zero. */
function image(seed) {
  return Buffer.concat(Array.from({ length: 40 }, (_, chunk) => (chunk % 5 === 3 ? Buffer.alloc(CHUNK_BYTES) : noise(seed, chunk))));
}

/** Chunks and manifests by key, all images among them, damaged as their names say. */
async function makeDisk() {
  const [file, disk, objects] = [join(directory, "raw"), join(directory, "disk"), new Map()];
  const pack = (name) => run(process.env.EDGEBOX_TOOL, ["--build-dir", directory, "pack", file, "-t", name]);
  for (const [seed, name] of ["good", ...Object.keys(FAULTS)].entries()) {
    await writeFile(file, image(seed));
    await pack(name);
  }
  const sparse = await open(file, "w");
  await sparse.truncate(TIB);
  await sparse.write(Buffer.from("the middle"), 0, 10, TIB / 2 - 5);
  await sparse.write(Buffer.from("the end"), 0, 7, TIB - 7);
  await sparse.close();
  await pack("sparse");
  await rm(file);
  for (const path of await readdir(disk, { recursive: true, withFileTypes: true })) {
    if (!path.isFile()) continue;
    const kind = path.parentPath.startsWith(join(disk, "chunks")) ? "chunks" : "manifests";
    objects.set(`${kind}/${path.name}`, await readFile(join(path.parentPath, path.name)));
  }
  for (const [name, { damage }] of Object.entries(FAULTS)) {
    const digest = digestOf(objects, name, VICTIM);
    const bytes = damage(objects.get(`chunks/${digest}`));
    if (bytes) objects.set(`chunks/${digest}`, bytes);
    else objects.delete(`chunks/${digest}`);
    victims[name] = digest;
  }
  objects.set("manifests/nonsense.json", Buffer.from("<!doctype html>"));
  objects.set("manifests/future.json", Buffer.from('{"format":"edgebox-disk","version":99}'));
  objects.set("manifests/huge.json", Buffer.alloc(300 << 10, " "));
  return objects;
}

/** The digest of a chunk, which lies in the first leaf page. */
function digestOf(objects, name, chunk) {
  const entry = (page, at) => brotliDecompressSync(objects.get(`chunks/${page}`)).toString("hex", at * 32, at * 32 + 32);
  const { image: { index_root: root } } = JSON.parse(objects.get(`manifests/${name}.json`));
  return entry(entry(root, 0), chunk);
}

/** A Worker with its objects in a bucket, or among its assets. */
async function startWorker(kind, objects) {
  const assets = join(directory, kind);
  await mkdir(join(assets, "disk/chunks"), { recursive: true });
  await mkdir(join(assets, "disk/manifests"), { recursive: true });
  const config = {
    name: `edgebox-${kind}`, main: join(project, "build/edge/worker.js"), compatibility_date: "2026-05-01", compatibility_flags: ["nodejs_compat"],
    assets: { directory: assets, binding: "ASSETS", run_worker_first: ["/disk/*"] },
    vars: { CORS_ORIGINS: "https://docs.example https://other.example", CACHE: kind === "r2" ? "on" : "off" },
    ...(kind === "r2" ? { r2_buckets: [{ binding: "DISK", bucket_name: "disk" }] } : {}),
  };
  if (kind === "assets") for (const [key, bytes] of objects) await writeFile(join(assets, "disk", key), bytes);
  const configPath = join(directory, `${kind}.json`);
  await writeFile(configPath, JSON.stringify(config));
  const harness = createTestHarness({ root: directory, workers: [{ configPath }] });
  const { url } = await harness.listen();
  if (kind === "r2") {
    const { DISK } = await harness.getWorker().getEnv();
    for (const [key, bytes] of objects) await DISK.put(key, bytes);
  }
  return { harness, origin: url.origin };
}

const victims = {};
let objects;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "edgebox-storage-"));
  objects = await makeDisk();
});
after(() => rm(directory, { recursive: true, force: true }));

for (const kind of ["r2", "assets"]) {
  describe(`storage ${kind}`, () => {
    let harness;
    let origin;
    before(async () => { ({ harness, origin } = await startWorker(kind, objects)); });
    after(() => harness.close());
    const get = (path, headers = {}, options = {}) => request(`${origin}/disk/${path}`, { headers, ...options });

    test("an image, whole and in parts", async () => {
      const expected = image(0);
      const whole = await get("images/good.img");
      assert.deepEqual([whole.status, whole.broken], [200, false]);
      assert.ok(whole.body.equals(expected));
      assert.equal(whole.headers["last-modified"] !== undefined, kind === "r2", "assets don't tell when they changed");
      const part = await get("images/good.img", { range: "bytes=300000-900000" });
      assert.equal(part.status, 206);
      assert.ok(part.body.equals(expected.subarray(300000, 900001)));
    });

    test("a chunk, in both encodings", async () => {
      const digest = digestOf(objects, "good", 0);
      const brotli = await get(`chunks/${digest}`, { "accept-encoding": "br" });
      assert.ok(brotli.body.equals(objects.get(`chunks/${digest}`)));
      assert.equal(Number(brotli.headers["content-length"]), brotli.body.length);
      assert.ok((await get(`chunks/${digest}`)).body.equals(noise(0, 0)));
      const head = await get(`chunks/${digest}`, { "accept-encoding": "br" }, { method: "HEAD" });
      assert.equal(head.headers["content-length"], brotli.headers["content-length"]);
    });

    test("a manifest and its tag", async () => {
      const { headers, body } = await get("manifests/good.json");
      assert.ok(body.equals(objects.get("manifests/good.json")));
      assert.equal((await get("manifests/good.json", { "if-none-match": headers.etag })).status, 304);
    });

    test("a terabyte of zeros with something in it", async () => {
      const head = await get("images/sparse.img", {}, { method: "HEAD" });
      assert.equal(head.headers["content-length"], String(TIB));
      const end = await get("images/sparse.img", { range: "bytes=-12" });
      assert.equal(end.headers["content-range"], `bytes ${TIB - 12}-${TIB - 1}/${TIB}`);
      assert.equal(end.body.toString(), "\0\0\0\0\0the end");
      const middle = await get("images/sparse.img", { range: `bytes=${TIB / 2 - 10000000}-${TIB / 2 + 9999999}` });
      assert.equal(middle.body.length, 20000000);
      assert.equal(middle.body.indexOf("the middle"), 9999995);
      assert.equal(middle.body.filter((byte) => byte !== 0).length, 10);
      const parts = await get("images/sparse.img", { range: `bytes=0-0,${TIB / 2}-${TIB / 2 + 4},-3` });
      assert.match(parts.body.toString(), /iddle\r\n[^]*end\r\n/);
    });

    test("only the origins that are listed may read", async () => {
      for (const origin of ["https://docs.example", "https://other.example"]) {
        assert.equal((await get("manifests/good.json", { origin })).headers["access-control-allow-origin"], origin);
      }
      const stranger = await get("images/good.img", { origin: "https://evil.example", range: "bytes=0-0" });
      assert.equal(stranger.headers["access-control-allow-origin"], undefined);
      assert.match(stranger.headers.vary, /\borigin\b/);
    });

    for (const [fault, { status, text }] of Object.entries(FAULTS)) {
      test(`a chunk that is ${fault}`, async () => {
        const expected = image(Object.keys(FAULTS).indexOf(fault) + 1);
        const at = VICTIM * CHUNK_BYTES;
        // What is before it and after it is fine.
        for (const start of [at - 5000, at + CHUNK_BYTES]) {
          const { status, body } = await get(`images/${fault}.img`, { range: `bytes=${start}-${start + 4999}` });
          assert.equal(status, 206);
          assert.ok(body.equals(expected.subarray(start, start + 5000)));
        }
        const inside = await get(`images/${fault}.img`, { range: `bytes=${at + 10}-${at + 20}` });
        assert.equal(inside.status, 502);
        assert.match(inside.body.toString(), text);
        assert.match(inside.body.toString(), new RegExp(victims[fault]));
        assert.equal(inside.headers["cache-control"], "no-store");
        assert.equal(inside.headers["cross-origin-resource-policy"], "cross-origin");
        const whole = await get(`images/${fault}.img`);
        assert.deepEqual([whole.status, whole.broken], [200, true], "broken off, not ended");
        assert.ok(whole.body.length <= at && whole.body.equals(expected.subarray(0, whole.body.length)));
        assert.equal((await get(`chunks/${victims[fault]}`)).status, status);
        const passed = await get(`chunks/${victims[fault]}`, { "accept-encoding": "br" });
        assert.equal(passed.status, fault === "missing" ? 404 : 200, "who has the digest verifies it");
      });
    }

    test("manifests that are none", async () => {
      for (const [name, text] of [["nonsense", /not an image's manifest/], ["future", /version 99/], ["huge", /longer than/]]) {
        const { status, body } = await get(`images/${name}.img`);
        assert.equal(status, 502, name);
        assert.match(body.toString(), text);
      }
    });

    test("who goes away in the middle does no harm", async () => {
      for (let round = 0; round < 20; round += 1) {
        const { status } = await get("images/sparse.img", {}, { limit: 1 << 20 });
        assert.equal(status, 200);
      }
      assert.equal((await get("images/good.img", { range: "bytes=0-99" })).status, 206);
    });
  });
}
