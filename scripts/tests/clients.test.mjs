// Raw images by ranges, read by programs that nobody here wrote.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, open, readFile, rm, stat, truncate } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { openBrowser } from "../../site/tests/terminal.mjs";

const run = promisify(execFile);
const raw = process.env.EDGEBOX_RAW_IMAGE;
const url = `${process.env.EDGEBOX_URL}/disk/images/default.img`;
const { size } = await stat(raw);
let directory;

before(async () => { directory = await mkdtemp(join(tmpdir(), "edgebox-clients-")); });
after(() => rm(directory, { recursive: true, force: true }));

async function digest(path) {
  const hash = createHash("sha256");
  for await (const part of createReadStream(path)) hash.update(part);
  return hash.digest("hex");
}

async function bytesOfImage(start, length) {
  const file = await open(raw);
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, start);
  await file.close();
  return buffer;
}

async function curl(...args) {
  const { stdout } = await run("curl", ["--silent", "--show-error", "--fail", ...args, url], { encoding: "buffer", maxBuffer: 1 << 30 });
  return stdout;
}

const expected = digest(raw);

test("curl gets ranges", async () => {
  for (const [start, length] of [[1024, 1024], [131000, 400000], [size - 5000, 5000]]) {
    const bytes = await curl("--range", `${start}-${start + length - 1}`);
    assert.ok(bytes.equals(await bytesOfImage(start, length)), `${length} bytes at ${start}`);
  }
  assert.ok((await curl("--range", "-4096")).equals(await bytesOfImage(size - 4096, 4096)));
});

test("curl resumes a download that broke off, and has all of it", async () => {
  const copy = join(directory, "curl.img");
  await curl("--output", copy, "--range", `0-${(5 << 20) + 12344}`);
  await curl("--output", copy, "--continue-at", "-");
  assert.equal(await digest(copy), await expected);
  // Of the last byte, too.
  await truncate(copy, size - 1);
  await curl("--output", copy, "--continue-at", "-");
  assert.equal((await stat(copy)).size, size);
  await rm(copy);
});

test("curl downloads only what has changed", async () => {
  const [tag, copy] = [join(directory, "tag"), join(directory, "head")];
  await curl("--etag-save", tag, "--range", "0-99", "--output", copy);
  assert.match(await readFile(tag, "utf8"), /^"[^"]+"\n$/);
  await rm(copy);
  await curl("--etag-compare", tag, "--output", copy);
  await assert.rejects(stat(copy), "304 leaves no file");
});

/** Runs a shell command with nbdkit's `uri` for the image. */
async function nbd(command) {
  return run("nbdkit", ["--exit-with-parent", "-U", "-", "curl", url, "--run", command], { cwd: directory, maxBuffer: 1 << 24 });
}

test("nbdcopy copies the image through nbdkit, and e2fsck finds nothing to repair", { timeout: 300_000 }, async () => {
  await nbd('nbdcopy "$uri" nbd.img');
  const copy = join(directory, "nbd.img");
  assert.equal(await digest(copy), await expected);
  await run("e2fsck", ["-fn", copy]);
  await rm(copy);
});

test("qemu-img reads the image through nbdkit", { timeout: 300_000 }, async () => {
  const { stdout } = await nbd('qemu-img info --output=json "$uri"');
  assert.equal(JSON.parse(stdout)["virtual-size"], size);
  await nbd(`qemu-img compare --image-opts "driver=raw,file.driver=file,file.filename=${raw}" "driver=raw,file.driver=nbd,file.path=$unixsocket"`);
});

/** A page of another origin, with v86 in it. */
function serveV86() {
  const files = { "/v86.mjs": ["libv86.mjs", "text/javascript"], "/v86.wasm": ["v86.wasm", "application/wasm"] };
  const server = createServer(async (incoming, outgoing) => {
    const [name, type] = files[incoming.url] ?? [];
    const body = name ? await readFile(join(import.meta.dirname, "../../node_modules/v86/build", name)) : "<!doctype html>";
    outgoing.writeHead(200, { "Content-Type": type ?? "text/html" }).end(body);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

test("v86 reads the image as its hard disk", { timeout: 120_000 }, async () => {
  const [server, browser] = [await serveV86(), await openBrowser()];
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    const places = [[0, 512], [1024, 4096], [130560, 1024], [262144, 131072], [size - 512, 512]];
    const contents = await page.evaluate(async ({ url, size, places }) => {
      const { V86 } = await import("/v86.mjs");
      const emulator = new V86({ wasm_path: "/v86.wasm", hda: { url, size, async: true }, autostart: false });
      await new Promise((resolve) => { emulator.add_listener("emulator-loaded", resolve); });
      const disk = emulator.v86.cpu.devices.ide.primary.master.buffer;
      const read = ([at, length]) => new Promise((resolve) => { disk.get(at, length, (bytes) => resolve([...bytes])); });
      return Promise.all(places.map(read));
    }, { url, size, places });
    for (const [index, [at, length]] of places.entries()) {
      assert.ok(Buffer.from(contents[index]).equals(await bytesOfImage(at, length)), `${length} bytes at ${at}`);
    }
  } finally {
    await browser.close();
    server.close();
  }
});
