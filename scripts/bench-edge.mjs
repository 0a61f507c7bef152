// How fast the Worker serves, and what it costs: `edgebox bench edge`.
//
// Argument: JSON { disk, raw, edge, image, rounds, seconds, file }: directories of chunks and of the built Worker, the raw
// image and its name, how often and how long everything is measured, a file for all figures or "". Compared are workerd's
// static files, the smallest Worker that hands them on, and nginx with the same chunks, nginx with the raw image, and
// Node.js decoding the same chunks. `wrk` and curl ask.
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { brotliDecompressSync } from "node:zlib";

// Wrangler's own.
import workerd from "workerd";

import { callsOfWorker } from "./bench-edge-cpu.mjs";
import { medians } from "./figures.mjs";
import { cpuMs, freePort, startNginx, startServer } from "./servers.mjs";

const run = promisify(execFile);
const setup = JSON.parse(process.argv[2]);

/** Chunks asked for: more than caches of processors hold, few enough to be put into a bucket within seconds. */
const CHUNKS = 400;
/** Connections that ask at a time: browsers have six to a host. */
const CONNECTIONS = 6;
/** Bytes of a range: what `nbdcopy` asks for at a time. */
const RANGE_BYTES = 256 * 1024;
/** Bytes of a download. */
const DOWNLOAD_BYTES = 128 << 20;

/** What any Worker costs that gives stored bytes headers of its own: as many as ours has. */
const SMALLEST_WORKER = `
  const headers = Object.fromEntries(Array.from({ length: 11 }, (_, n) => ["x-header-" + n, "as long as headers are on average"]));
  export default { async fetch(request, env) {
    const { body } = await env.ASSETS.fetch(request);
    return new Response(body, { encodeBody: "manual", headers: { ...headers, "content-encoding": "br" } });
  } };`;

/** What wrk asks for: a path from a list, or a range of one path at random; and what it reports. */
const WRK_SCRIPT = `
  local target, argument = os.getenv("WRK_TARGET"), os.getenv("WRK_ARGUMENT")
  local paths = {}
  if target == "list" then for line in io.lines(argument) do paths[#paths + 1] = line end end
  function request()
    if target == "list" then return wrk.format("GET", paths[math.random(#paths)], { ["accept-encoding"] = "br" }) end
    local first = math.random(0, os.getenv("WRK_BLOCKS") - 1) * ${RANGE_BYTES}
    return wrk.format("GET", argument, { range = string.format("bytes=%d-%d", first, first + ${RANGE_BYTES} - 1) })
  end
  function done(summary, latency)
    local errors = summary.errors
    io.write(string.format('{"requests":%d,"us":%d,"bytes":%d,"failed":%d,"p50":%d,"p90":%d,"p99":%d}\\n',
      summary.requests, summary.duration, summary.bytes, errors.status + errors.read + errors.connect + errors.timeout,
      latency:percentile(50), latency:percentile(90), latency:percentile(99)))
  end`;

/** All chunks of the disk: digest and file. */
async function listChunks() {
  const prefixes = (await readdir(join(setup.disk, "chunks"))).sort();
  const lists = await Promise.all(prefixes.map(async (prefix) => (await readdir(join(setup.disk, "chunks", prefix))).sort()));
  return lists.flatMap((names, at) => names.map((digest) => ({ digest, path: join(setup.disk, "chunks", prefixes[at], digest) })));
}

/** Puts chunks at `chunks/DIGEST` below a directory. */
async function place(chunks, directory) {
  await mkdir(join(directory, "chunks"), { recursive: true });
  await Promise.all(chunks.map(({ digest, path }) => copyFile(path, join(directory, "chunks", digest))));
}

/**
 * Starts workerd with a directory, once as its own static files and once behind the Worker, each at a port of its own.
 * `wrangler dev` would put a proxy and simulations of assets and buckets in between, all of which take longer than the
 * Worker does.
 */
async function startWorkerd(files) {
  const modules = (await readdir(setup.edge, { recursive: true })).filter((file) => /\.(js|wasm)$/.test(file));
  // The first one is where requests come in.
  modules.sort((a, b) => (b === "worker.js") - (a === "worker.js"));
  const embedded = modules.map((file) =>
    `(name = "${file}", ${file.endsWith(".wasm") ? "wasm" : "esModule"} = embed "${relative(directory, join(setup.edge, file))}")`);
  const worker = (cache) => `(
    modules = [${embedded.join(", ")}], compatibilityDate = "2026-05-01", compatibilityFlags = ["nodejs_compat"],
    bindings = [(name = "ASSETS", service = "files"), (name = "CORS_ORIGINS", text = "*"), (name = "CACHE", text = "${cache}")])`;
  await writeFile(join(directory, "smallest.js"), SMALLEST_WORKER);
  const smallest = `(modules = [(name = "smallest.js", esModule = embed "smallest.js")], compatibilityDate = "2026-05-01",
    bindings = [(name = "ASSETS", service = "files")])`;
  const ports = { files: await freePort(), smallest: await freePort(), worker: await freePort(), cached: await freePort() };
  const sockets = Object.entries(ports).map(([name, port]) =>
    `(name = "${name}", address = "127.0.0.1:${port}", http = (), service = "${name}")`);
  const config = join(directory, "workerd.capnp");
  await writeFile(config, `
    using Workerd = import "/workerd/workerd.capnp";
    const config :Workerd.Config = (
      services = [(name = "files", disk = "${files}"), (name = "smallest", worker = ${smallest}), (name = "worker", worker = ${worker("off")}), (name = "cached", worker = ${worker("on")})],
      sockets = [${sockets.join(", ")}]);`);
  const { pid, stop } = await startServer(workerd.default ?? workerd, ["serve", config], ports.worker);
  stops.push(stop);
  return Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, { url: `http://127.0.0.1:${port}`, pid }]));
}

/** Runs wrk against a server. CPU time is the server's: how busy the machine is otherwise matters little to it. */
async function wrk({ url, pid }, environment) {
  const before = cpuMs(pid);
  const args = ["-t1", `-c${CONNECTIONS}`, `-d${setup.seconds}s`, "-s", join(directory, "wrk.lua"), url];
  const { stdout } = await run("wrk", args, { env: { ...process.env, ...environment } });
  const { requests, us, bytes, failed, ...latency } = JSON.parse(stdout.trim().split("\n").at(-1));
  if (failed > 0 || requests === 0) throw new Error(`${url}: ${failed} of ${requests} requests failed`);
  const cpuUs = (cpuMs(pid) - before) * 1000 / requests;
  return { perSecond: requests / us * 1e6, megabytesPerSecond: bytes / us, ...latency, cpuUs };
}

/** One download by curl. */
async function download({ url, pid }, path) {
  const before = cpuMs(pid);
  const args = ["-sS", "--fail", "-r", `0-${DOWNLOAD_BYTES - 1}`, "-o", "/dev/null", "-w", "%{speed_download}", url + path];
  const megabytesPerSecond = Number((await run("curl", args)).stdout) / 1e6;
  return { megabytesPerSecond, perCpuSecond: DOWNLOAD_BYTES / 1000 / Math.max(10, cpuMs(pid) - before) };
}

/** Decoding alone, in this process: what no server that decodes with one processor can be faster than. */
function decode(chunks) {
  const start = process.cpuUsage();
  const bytes = chunks.reduce((sum, chunk) => sum + brotliDecompressSync(chunk).length, 0);
  const { user, system } = process.cpuUsage(start);
  return { perCpuSecond: bytes / (user + system) };
}

/** CPU time of the Worker's own code for each kind of request. */
async function cpu(all, some) {
  const objects = new Map([[manifest, await readFile(join(setup.disk, manifest))]]);
  for (const { digest, path } of all) objects.set(`chunks/${digest}`, await readFile(path));
  const call = await callsOfWorker(setup.edge, objects);
  const digest = (at) => some[at % some.length].digest;
  const path = (at) => `/disk/chunks/${digest(at)}`;
  const { packs = [] } = JSON.parse(await readFile(join(setup.disk, manifest), "utf8"));
  const boot = packs.filter(({ on }) => on === undefined);
  const pack = (at) => (boot.length > 0 ? `/disk/chunks/${boot[at % boot.length].digest}` : path(at));
  const brotli = { "accept-encoding": "br" };
  const range = (bytes) => (at) => ({ range: `bytes=${at * bytes}-${(at + 1) * bytes - 1}` });
  const image = () => `/disk/images/${setup.image}.img`;
  const kinds = {
    "chunk, as it is stored": () => call(path, () => brotli, 4000),
    "boot pack, as it is stored": () => call(pack, () => brotli, 1000),
    "chunk, not modified": () => call(path, (at) => ({ ...brotli, "if-none-match": `"${digest(at)}"` }), 4000),
    "chunk, decoded": () => call(path, () => ({}), 500),
    "manifest": () => call(() => `/disk/${manifest}`, () => ({}), 4000),
    "range of 4 KiB, one after the other": () => call(image, range(4096), 2000),
    "range of 1 MiB": () => call(image, range(1 << 20), 200),
  };
  const figures = {};
  for (const [kind, measure] of Object.entries(kinds)) {
    await measure(); // Until everything is compiled.
    figures[kind] = { ms: await measure() };
  }
  return figures;
}

/** Measures everything in turns, so that a machine that is busy for a while is so for all; medians of all rounds. */
async function measureInTurns(kinds) {
  const results = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  for (let round = 0; round < setup.rounds; round += 1) {
    for (const [kind, measure] of Object.entries(kinds)) results[kind].push(await measure());
  }
  return { medians: Object.fromEntries(Object.entries(results).map(([kind, list]) => [kind, medians(list)])), results };
}

function print(title, units, figures) {
  console.log(`\n${title.padEnd(38)}${Object.values(units).map((unit) => unit.padStart(12)).join("")}`);
  for (const [kind, row] of Object.entries(figures)) {
    const cells = Object.keys(units).map((name) => row[name] === undefined ? "" : Number(row[name].toPrecision(4)).toString());
    console.log(`${kind.padEnd(38)}${cells.map((cell) => cell.padStart(12)).join("")}`);
  }
}

/** Starts all servers; returns what is measured of them. */
async function prepare(all, some) {
  const files = join(directory, "files");
  await place(all, join(files, "disk"));
  await mkdir(join(files, "disk/manifests"));
  await copyFile(join(setup.disk, manifest), join(files, "disk", manifest));
  await symlink(setup.raw, join(files, "raw.img"));
  await writeFile(join(directory, "wrk.lua"), WRK_SCRIPT);
  const nginx = await startNginx(files, "location /disk/chunks/ { add_header content-encoding br; }");
  stops.push(nginx.stop);
  const servers = await startWorkerd(files);
  const list = join(directory, "list");
  await writeFile(list, some.map(({ digest }) => `/disk/chunks/${digest}\n`).join(""));
  const chunks = { WRK_TARGET: "list", WRK_ARGUMENT: list };
  const blocks = String(Math.floor((await stat(setup.raw)).size / RANGE_BYTES));
  const ranges = (path) => ({ WRK_TARGET: "range", WRK_ARGUMENT: path, WRK_BLOCKS: blocks });
  const image = `/disk/images/${setup.image}.img`;
  const bytes = await Promise.all(some.map(({ path }) => readFile(path)));
  return {
    chunks: {
      "workerd's static files": () => wrk(servers.files, chunks),
      "a Worker of two lines": () => wrk(servers.smallest, chunks),
      "Worker": () => wrk(servers.worker, chunks),
      "Worker, entry for the cache": () => wrk(servers.cached, chunks),
      "nginx": () => wrk(nginx, chunks),
    },
    ranges: { "Worker": () => wrk(servers.worker, ranges(image)), "nginx": () => wrk(nginx, ranges("/raw.img")) },
    downloads: {
      "Worker": () => download(servers.worker, image),
      "decoding alone, node:zlib": () => decode(bytes),
      "nginx": () => download(nginx, "/raw.img"),
    },
  };
}

const manifest = `manifests/${setup.image}.json`;
const directory = await mkdtemp(join(tmpdir(), "edgebox-bench-"));
const stops = [() => rm(directory, { recursive: true, force: true })];
try {
  const all = await listChunks();
  // Evenly from all over, so that every kind of content is there.
  const some = all.filter((_, at) => at % Math.ceil(all.length / CHUNKS) === 0);
  const kinds = await prepare(all, some);
  const figures = { chunks: await measureInTurns(kinds.chunks), ranges: await measureInTurns(kinds.ranges), downloads: await measureInTurns(kinds.downloads) };
  const latency = { perSecond: "1/s", megabytesPerSecond: "MB/s", p50: "p50 µs", p90: "p90 µs", p99: "p99 µs", cpuUs: "CPU µs" };
  print(`chunks, ${CONNECTIONS} connections`, latency, figures.chunks.medians);
  print(`ranges of ${RANGE_BYTES >> 10} KiB at random`, latency, figures.ranges.medians);
  print(`a range of ${DOWNLOAD_BYTES >> 20} MiB`, { megabytesPerSecond: "MB/s", perCpuSecond: "MB/CPU s" }, figures.downloads.medians);
  figures.cpu = await cpu(all, some);
  print("the Worker's CPU time for a", { ms: "ms" }, figures.cpu);
  if (setup.file) await writeFile(setup.file, `${JSON.stringify({ setup, ...figures }, null, 1)}\n`);
} finally {
  for (const stop of stops.reverse()) await stop();
}
