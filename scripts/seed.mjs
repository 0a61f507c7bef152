// Copies a directory of chunks and manifests into wrangler's local R2, leaving alone what is there already.
//
//   node scripts/seed.mjs build/disk
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { getPlatformProxy } from "wrangler";

/** Objects written at a time: enough to keep the local server busy, few enough to hold in memory. */
const PARALLEL = 32;

const directory = process.argv[2];
const { env, dispose } = await getPlatformProxy();

async function chunks() {
  const root = join(directory, "chunks");
  const prefixes = await readdir(root);
  const lists = await Promise.all(
    prefixes.map(async (prefix) =>
      (await readdir(join(root, prefix))).map((digest) => ({ key: `chunks/${digest}`, path: join(root, prefix, digest) })),
    ),
  );
  return lists.flat();
}

async function manifests() {
  const root = join(directory, "manifests");
  return (await readdir(root)).map((name) => ({ key: `manifests/${name}`, path: join(root, name) }));
}

async function storedKeys() {
  const keys = new Set();
  let cursor;
  do {
    const page = await env.DISK.list({ cursor });
    for (const object of page.objects) keys.add(object.key);
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor);
  return keys;
}

async function put({ key, path }) {
  await env.DISK.put(key, await readFile(path));
}

const stored = await storedKeys();
const missing = (await chunks()).filter(({ key }) => !stored.has(key));
const queue = missing.values();
let done = 0;
async function work() {
  for (const chunk of queue) {
    await put(chunk);
    done += 1;
    if (process.stderr.isTTY) process.stderr.write(`\rcopying the disk into local storage: ${done} of ${missing.length}`);
  }
}
await Promise.all(Array.from({ length: PARALLEL }, work));
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
// Last, so that a manifest never names what is not there yet.
for (const manifest of await manifests()) await put(manifest);
await dispose();
