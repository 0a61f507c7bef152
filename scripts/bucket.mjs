// A bucket at the tool's disposal (scripts/src/deploy/bucket.rs): commands come in and answers go out as lines of JSON. The
// same binding of R2 serves both buckets, so what is tested on one is what happens to the other.
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
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { getPlatformProxy, unstable_readConfig } from "wrangler";

const BINDING = "DISK";
/** Commands carried out at a time: enough to keep a connection busy, few enough to hold their objects in memory. */
const PARALLEL = 32;
/** A command that fails is tried again after each of these: connections break, and R2 asks for patience at times. */
const PAUSES_MS = [200, 1000, 5000];

const [place, directory] = process.argv.slice(2);
const project = join(import.meta.dirname, "..");
const config = unstable_readConfig({ config: join(project, "wrangler.toml") });
const name = config.r2_buckets.find(({ binding }) => binding === BINDING).bucket_name;

let proxy;
let scratch;

/** The binding, made when it is needed first: then the bucket must exist. */
async function bucket() {
  proxy ??= (async () => {
    scratch = await mkdtemp(join(tmpdir(), "edgebox-bucket-"));
    const isRemote = place === "remote";
    const binding = { binding: BINDING, bucket_name: name, remote: isRemote };
    const settings = { name: config.name, compatibility_date: config.compatibility_date, r2_buckets: [binding] };
    if (config.account_id) settings.account_id = config.account_id;
    const configPath = join(scratch, "wrangler.json");
    await writeFile(configPath, JSON.stringify(settings));
    const persist = isRemote ? false : { path: join(directory, "v3") };
    return getPlatformProxy({ configPath, persist, remoteBindings: isRemote });
  })();
  return (await proxy).env[BINDING];
}

function answer(id, answer) {
  process.stdout.write(`${JSON.stringify({ id, ...answer })}\n`);
}

const actions = {
  describe: async () => ({ bucket: name }),
  list: async ({ id }) => {
    let cursor;
    do {
      const page = await (await bucket()).list({ cursor });
      for (const { key, size, uploaded } of page.objects) answer(id, { key, size, uploaded_ms: uploaded.getTime() });
      cursor = page.truncated ? page.cursor : undefined;
    } while (cursor);
    return { end: true };
  },
  get: async ({ key, path }) => {
    const object = await (await bucket()).get(key);
    if (object) await writeFile(path, Buffer.from(await object.arrayBuffer()));
    return { found: object !== null };
  },
  put: async ({ key, path }) => {
    const bytes = await readFile(path);
    await (await bucket()).put(key, bytes);
    return {};
  },
  delete: async ({ keys }) => {
    await (await bucket()).delete(keys);
    return {};
  },
};

/** Whether trying again may help: what was listed in part must not be listed twice, and a missing file stays missing. */
const isWorthATry = (command, error) => command.do !== "list" && error.code !== "ENOENT";

async function carryOut(command) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return answer(command.id, await actions[command.do](command));
    } catch (error) {
      if (attempt === PAUSES_MS.length || !isWorthATry(command, error)) {
        return answer(command.id, { error: String(error?.message ?? error) });
      }
      await new Promise((resolve) => { setTimeout(resolve, PAUSES_MS[attempt]); });
    }
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
if (proxy) await (await proxy.catch(() => undefined))?.dispose();
if (scratch) await rm(scratch, { recursive: true, force: true });
