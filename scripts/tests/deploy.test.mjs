// `edgebox deploy`, `wrangler dev` standing in for the account: what is uploaded, what is deleted, and a preview of a branch
// that changes one line of a Dockerfile.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { getPlatformProxy } from "wrangler";

import { TerminalPage, openBrowser } from "../../site/tests/terminal.mjs";
import { startWorker } from "../servers.mjs";
import { startAccount } from "./account.mjs";
import { request } from "./http.mjs";

const project = join(import.meta.dirname, "../..");
const CHUNK_BYTES = 128 * 1024;
// The tool finds the Node.js that runs this, whatever others there are.
const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };

let directory;

/** A place of its own for each test: what is built, and storage. */
async function place(name) {
  const root = join(directory, name);
  await mkdir(root);
  const [build, persist] = [join(root, "build"), join(root, "storage")];
  const tool = (...args) => promisify(execFile)(process.env.EDGEBOX_TOOL, ["--build-dir", build, ...args], { cwd: root, env });
  /** What `edgebox deploy` says, or why it fails. */
  const deploy = (...args) => tool("deploy", ...args, "--local", "--persist-to", persist).then(({ stderr }) => stderr, (error) => {
    throw new Error(error.stderr);
  });
  return { root, build, persist, tool, deploy };
}

/** Works with the bucket in `persist`. */
async function withBucket(persist, work) {
  const proxy = await getPlatformProxy({ configPath: join(project, "wrangler.toml"), persist: { path: join(persist, "v3") } });
  try {
    return await work(proxy.env.DISK);
  } finally {
    await proxy.dispose();
  }
}

const keysIn = (persist) => withBucket(persist, async (bucket) => (await bucket.list()).objects.map(({ key }) => key));

/** Chunks of noise, one for each seed. */
function image(seeds) {
  return Buffer.concat(seeds.map((seed) => {
    const bytes = Buffer.alloc(CHUNK_BYTES);
    let state = seed + 1;
    for (let at = 0; at < CHUNK_BYTES; at += 1) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      bytes[at] = state >>> 24;
    }
    return bytes;
  }));
}

async function pack({ root, tool }, name, seeds) {
  await writeFile(join(root, "raw"), image(seeds));
  await tool("pack", "raw", "-t", name, "--quality", "0");
}

before(async () => { directory = await mkdtemp(join(tmpdir(), "edgebox-deploy-")); });
after(() => rm(directory, { recursive: true, force: true }));

test("what is missing is uploaded, once; a dry run does nothing", async () => {
  const here = await place("upload");
  await pack(here, "a", [1, 2, 3]);
  await pack(here, "b", [2, 3, 4]);
  const { persist, deploy } = here;
  assert.match(await deploy("--image", "a", "--dry-run"), /^5 objects, 5 of them missing \(0\.\d+ MB\); 1 manifests new$/m);
  assert.deepEqual(await keysIn(persist), []);
  await deploy("--image", "a");
  assert.equal((await keysIn(persist)).length, 6);
  assert.match(await deploy("--image", "a"), /5 objects, 0 of them missing .*; 0 manifests new/);
  // The two images have two chunks in common.
  assert.match(await deploy("--image", "a", "--image", "b"), /8 objects, 3 of them missing .*; 1 manifests new/);
  await assert.rejects(deploy("--image", "c"), /there is no image "c": build it/);
});

test("progress is shown on a terminal, and nowhere else", async () => {
  const here = await place("progress");
  const { root, build, persist, tool, deploy } = here;
  await writeFile(join(root, "raw"), image([1, 2, 3]));
  const onTerminal = async (...args) => {
    const command = [process.env.EDGEBOX_TOOL, "--build-dir", build, ...args].map((word) => `'${word}'`).join(" ");
    const { stdout } = await promisify(execFile)("script", ["-qec", command, "/dev/null"], { cwd: root, env });
    return stdout;
  };
  const bar = (what) => new RegExp(`${what} +\\S+ +\\S+ \\S+ of 3\\d\\d\\.\\d+ KiB`);
  assert.match(await onTerminal("pack", "raw", "-t", "a"), bar("packing"));
  assert.match(await onTerminal("deploy", "--image", "a", "--local", "--persist-to", persist), bar("uploading"));
  await writeFile(join(root, "raw"), image([4, 5, 6]));
  assert.match((await tool("pack", "raw", "-t", "b")).stderr, /^image b: 5 chunks, 5 of them new \(\d\.\d MB\)\n(image b: no boot profile.*\n)?$/);
  assert.match(await deploy("--image", "b"), /^5 objects, 5 of them missing \(0\.\d+ MB\); 1 manifests new\n$/);
});

test("an upload that fails or is killed is taken up where it ended", async () => {
  const here = await place("resume");
  const seeds = Array.from({ length: 300 }, (_, seed) => seed);
  await pack(here, "a", seeds);
  const { build, persist, deploy } = here;
  // A file that can't be read.
  const [prefix] = await readdir(join(build, "disk/chunks"));
  const [digest] = await readdir(join(build, "disk/chunks", prefix));
  const file = join(build, "disk/chunks", prefix, digest);
  await rename(file, `${file}.away`);
  await mkdir(file);
  await assert.rejects(deploy("--image", "a"), /run it again to go on: 1 of 302 objects can't be stored; chunks\//);
  const keys = await keysIn(persist);
  assert.equal(keys.length, 301);
  assert.ok(!keys.some((key) => key.startsWith("manifests/")), "a manifest never names what is not there");
  await rmdir(file);
  await rename(`${file}.away`, file);
  assert.match(await deploy("--image", "a"), /302 objects, 1 of them missing .*; 1 manifests new/);

  await pack(here, "b", seeds.map((seed) => seed + 1000));
  const args = ["--build-dir", build, "deploy", "--image", "b", "--local", "--persist-to", persist];
  const killed = spawn(process.env.EDGEBOX_TOOL, args, { env, stdio: "ignore", detached: true });
  const ended = new Promise((resolve) => { killed.on("exit", resolve); });
  const blobs = join(persist, "v3/r2/edgebox-disk/blobs");
  while (killed.exitCode === null && (await readdir(blobs)).length < 320) await new Promise((resolve) => { setTimeout(resolve, 5); });
  // The tool and all it has started.
  process.kill(-killed.pid, "SIGKILL");
  await ended;
  const said = await deploy("--image", "b");
  const missing = Number(/(\d+) of them missing/.exec(said)[1]);
  assert.ok(missing < 302, said);
  assert.match(await deploy("--image", "b"), /302 objects, 0 of them missing .*; 0 manifests new/);
});

describe("garbage", () => {
  let here;
  before(async () => {
    here = await place("garbage");
    await pack(here, "a", [1, 2, 3]);
    await here.deploy("--image", "a");
    await pack(here, "a", [1, 2, 4]);
    await here.deploy("--image", "a");
  });

  test("what a tab may still have open is kept", async () => {
    assert.match(await here.deploy("gc"), /^0 objects are garbage .*, 10 stay$/m);
  });

  test("what a preview names is kept", async () => {
    await pack(here, "a", [1, 5]);
    assert.match(await here.deploy("--image", "a", "--preview", "feature/x"), /4 objects, 3 of them missing .*; 1 manifests new/);
    // The chunk, the leaf page and the root page that were replaced, and the manifest that named them.
    assert.match(await here.deploy("gc", "--keep", "0", "--dry-run"), /^4 objects are garbage .*, 10 stay$/m);
    assert.match(await here.deploy("gc", "--keep", "0"), /^4 objects are garbage/m);
    assert.match(await here.deploy("gc", "--keep", "0"), /^0 objects are garbage .*, 10 stay$/m);
    assert.match(await here.deploy("--image", "a", "--preview", "feature/x"), /4 objects, 0 of them missing .*; 0 manifests new/);
  });

  test("a preview that is forgotten goes with what it alone named", async () => {
    await here.deploy("forget", "feature/x", "--dry-run");
    assert.ok((await keysIn(here.persist)).some((key) => key.startsWith("previews/feature-x-")));
    await here.deploy("forget", "feature/x");
    assert.match(await here.deploy("gc"), /^0 objects are garbage/m);
    assert.match(await here.deploy("gc", "--keep", "0"), /^4 objects are garbage/m);
    await pack(here, "a", [1, 2, 4]);
    assert.match(await here.deploy("--image", "a"), /5 objects, 0 of them missing .*; 0 manifests new/);
  });

  test("nothing is deleted while it is not known what is named", async () => {
    const put = (key, text) => withBucket(here.persist, async (bucket) => { await bucket.put(key, text); });
    await put("manifests/future.json", '{"format":"edgebox-disk","version":99}');
    await put(`chunks/${"1".repeat(64)}`, "stray");
    await put("notes.txt", "somebody else's");
    await assert.rejects(here.deploy("gc", "--keep", "0"), /future\.json: nothing is deleted: .*version 99/);
    await withBucket(here.persist, async (bucket) => { await bucket.delete("manifests/future.json"); });
    assert.match(await here.deploy("gc", "--keep", "0"), /^1 objects are garbage/m);
    assert.ok((await keysIn(here.persist)).includes("notes.txt"));
  });
});

const DOCKERFILE = `FROM debian:bookworm-slim
RUN useradd --create-home --shell /bin/bash user
RUN echo main > /etc/motd
CMD ["/bin/bash", "--login"]
`;

describe("a branch that changes the last line of a Dockerfile", () => {
  const branch = "feature/Motd";
  let here;
  let browser;
  const servers = {};

  before(async () => {
    here = await place("preview");
    const build = async (text) => {
      await writeFile(join(here.root, "box.Dockerfile"), text);
      await here.tool("image", "box.Dockerfile");
    };
    await build(DOCKERFILE);
    await here.deploy("--image", "box");
    await build(DOCKERFILE.replace("echo main", "echo from the branch"));
    here.said = await here.deploy("--image", "box", "--preview", branch);
    const [alias] = (await keysIn(here.persist)).filter((key) => key.startsWith("previews/")).map((key) => key.split("/")[1]);
    browser = await openBrowser();
    servers.main = await startWorker(here.persist);
    servers.preview = await startWorker(here.persist, { PREVIEW: alias });
  });
  after(async () => {
    await browser?.close();
    await Promise.all(Object.values(servers).map((server) => server.stop()));
  });

  test("uploads a few chunks", () => {
    const [, objects, missing, megabytes] = /(\d+) objects, (\d+) of them missing \((\d+\.\d+) MB\)/.exec(here.said).map(Number);
    console.log(`the change: ${missing} of ${objects} objects, ${megabytes} MB`);
    // A boot pack among them: that with the index, and with what a boot reads of directories and inodes.
    assert.ok(objects > 500 && missing <= 8 && megabytes < 0.15, here.said);
  });

  test("has an image of its own at the address of its preview, and nobody else has", async () => {
    const get = (name, path) => request(`${servers[name].url}/disk/${path}`);
    const [main, preview] = await Promise.all(["main", "preview"].map((name) => get(name, "manifests/box.json")));
    const own = await readFile(join(here.build, "disk/manifests/box.json"));
    assert.ok(preview.body.equals(own) && !main.body.equals(own) && main.status === 200);
  });

  test("boots with the change", { timeout: 120_000 }, async () => {
    for (const [name, expected] of [["main", "main"], ["preview", "from the branch"]]) {
      const terminal = await TerminalPage.open(browser, `${servers[name].url}/?image=box`);
      await terminal.waitForPrompt();
      assert.equal(await terminal.run("cat /etc/motd"), expected);
    }
  });
});

describe("in an account", () => {
  let account;
  // Filled by who started these tests; the image is there, so nothing is uploaded.
  const storage = ["--persist-to", join(project, ".wrangler/state")];
  const deploy = async (...args) => {
    account.requests.length = 0;
    const environment = { ...env, ...account.env };
    const { stdout } = await promisify(execFile)(process.env.EDGEBOX_TOOL, ["deploy", ...args, ...storage], { env: environment });
    return stdout;
  };
  const requestTo = (pattern) => account.requests.find(({ line }) => pattern.test(line));
  const bindings = ({ json }) => json.bindings ?? Object.entries(json.env).map(([name, binding]) => ({ name, ...binding }));
  const binding = (sent, wanted) => bindings(sent).find(({ name }) => name === wanted);

  before(async () => { account = await startAccount(); });
  after(() => account.stop());

  test("a bucket is made and the Worker deployed", async () => {
    assert.match(await deploy(), /^https:\/\/edgebox\.somebody\.workers\.dev\n$/);
    assert.deepEqual(requestTo(/^POST \/r2\/buckets$/).json, { name: "edgebox-disk" });
    const sent = requestTo(/^(PUT|POST) \/workers\/scripts\/edgebox(\/versions)?$/);
    assert.equal(binding(sent, "DISK").bucket_name, "edgebox-disk");
    assert.equal(binding(sent, "CACHE").text, "on");
    assert.equal(binding(sent, "PREVIEW"), undefined);
  });

  test("a preview is one of the same bucket, and knows which it is", async () => {
    assert.equal(await deploy("--preview", "topic"), "https://preview-edgebox.somebody.workers.dev\n");
    assert.equal(requestTo(/^POST \/r2\/buckets$/), undefined, "the bucket is there");
    assert.deepEqual(requestTo(/^POST .*\/previews$/).json, { name: "topic" });
    const sent = requestTo(/^POST .*\/previews\/p\/deployments$/);
    assert.equal(binding(sent, "DISK").bucket_name, "edgebox-disk");
    assert.equal(binding(sent, "PREVIEW").text, "topic");
    assert.equal(binding(sent, "CACHE").text, "off");
  });

  test("a preview that is forgotten is deleted", async () => {
    await deploy("forget", "topic");
    assert.ok(requestTo(/^DELETE .*\/previews\/topic$/), account.requests.map(({ line }) => line).join("\n"));
  });
});
