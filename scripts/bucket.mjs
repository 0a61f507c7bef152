// A bucket at the tool's disposal (scripts/src/deploy/bucket.rs): commands come in and answers go out as lines of JSON. The
// same binding of R2 serves both buckets, so what is tested on one is what happens to the other. A Worker in between
// (bucket-worker.mjs) needs one request for what the binding, used from Node.js, takes thousands for; requests that fail are
// made again (bucket-client.mjs).
//
//   node scripts/bucket.mjs local DIR     wrangler's local storage, which it calls `--persist-to DIR`
//   node scripts/bucket.mjs remote        the account's own bucket, by wrangler's remote bindings
//
//   command                          answers, each with the command's id
//   {id, do: "describe"}             {bucket}
//   {id, do: "list"}                 {key, size, uploaded_ms} for each object, then {end}
//   {id, do: "get", key, path}       {found}: whether there is such an object, which is then in the file
//   {id, do: "put", key, path}       {}
//   {id, do: "delete", keys}         {}
//   whatever fails                   {error}
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { unstable_readConfig, unstable_startWorker } from "wrangler";

import { client } from "./bucket-client.mjs";

const BINDING = "DISK";
/** Commands carried out at a time: enough to keep a connection busy, few enough to hold their objects in memory. */
const PARALLEL = 32;

const [place, directory] = process.argv.slice(2);
const project = join(import.meta.dirname, "..");
const config = unstable_readConfig({ config: join(project, "wrangler.toml") });
const name = config.r2_buckets.find(({ binding }) => binding === BINDING).bucket_name;

let worker;
let scratch;

/** The Worker that has the bucket, started when it is needed first: then the bucket must exist. */
async function start() {
  scratch = await mkdtemp(join(tmpdir(), "edgebox-bucket-"));
  const isRemote = place === "remote";
  const token = randomUUID();
  const settings = {
    name: config.name,
    main: join(import.meta.dirname, "bucket-worker.mjs"),
    compatibility_date: config.compatibility_date,
    account_id: config.account_id,
    r2_buckets: [{ binding: BINDING, bucket_name: name, remote: isRemote }],
    vars: { TOKEN: token },
  };
  const path = join(scratch, "wrangler.json");
  await writeFile(path, JSON.stringify(settings));
  const started = await unstable_startWorker({
    config: path,
    dev: {
      remote: false, watch: false, inspector: false, logLevel: "error",
      server: { hostname: "127.0.0.1", port: 0 },
      persist: isRemote ? false : directory,
    },
  });
  await started.ready;
  return { request: client(await started.url, token), dispose: () => started.dispose() };
}

/** One request to the bucket. */
async function ask(path, options) {
  worker ??= start();
  return (await worker).request(path, options);
}

const objectAt = (key) => `/object?key=${encodeURIComponent(key)}`;

function answer(id, answer) {
  process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`);
}

const actions = {
  describe: async () => ({ bucket: name }),
  list: async ({ id }) => {
    let cursor = "";
    do {
      const { body } = await ask(`/list${cursor && `?cursor=${encodeURIComponent(cursor)}`}`);
      const page = JSON.parse(body);
      for (const object of page.objects) answer(id, object);
      cursor = page.cursor;
    } while (cursor);
    return { end: true };
  },
  get: async ({ key, path }) => {
    const { isThere, body } = await ask(objectAt(key));
    if (isThere) await writeFile(path, body);
    return { found: isThere };
  },
  put: async ({ key, path }) => {
    await ask(objectAt(key), { method: "PUT", body: await readFile(path) });
    return {};
  },
  delete: async ({ keys }) => {
    await ask("/", { method: "DELETE", body: JSON.stringify(keys) });
    return {};
  },
};

async function carryOut(command) {
  try {
    answer(command.id, await actions[command.do](command));
  } catch (error) {
    answer(command.id, { error: String(error?.message ?? error) });
  }
}

const running = new Set();
for await (const line of createInterface({ input: process.stdin })) {
  // Whoever writes waits meanwhile.
  while (running.size >= PARALLEL) await Promise.race(running);
  const work = carryOut(JSON.parse(line)).finally(() => running.delete(work));
  running.add(work);
}
await Promise.all(running);
if (worker) await (await worker.catch(() => undefined))?.dispose();
if (scratch) await rm(scratch, { recursive: true, force: true });
