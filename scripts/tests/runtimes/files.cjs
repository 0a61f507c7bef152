// Files and compression: promises, streams, watchers.
const fs = require("fs");
const path = require("path");
const zlib = require("zlib");
const { createHash } = require("crypto");
const { createInterface } = require("readline");
const { pipeline } = require("stream/promises");

const { open, readFile, writeFile, appendFile, mkdtemp } = fs.promises;
const digest = (data) => createHash("sha256").update(data).digest("hex");

async function contents(directory) {
  const file = path.join(directory, "a");
  await writeFile(file, "hello");
  await appendFile(file, " world");
  const { size, mode, nlink } = await fs.promises.stat(file, { bigint: true });
  console.log(await readFile(file, "utf8"), size, mode.toString(8), nlink);
  await fs.promises.symlink("a", path.join(directory, "link"));
  console.log(await fs.promises.readlink(path.join(directory, "link")));
  await fs.promises.mkdir(path.join(directory, "x/y/z"), { recursive: true });
  await fs.promises.copyFile(file, path.join(directory, "x/y/c"));
  await fs.promises.cp(path.join(directory, "x"), path.join(directory, "xx"), { recursive: true });
  const entries = await fs.promises.readdir(directory, { withFileTypes: true });
  console.log(entries.map((entry) => entry.name + (entry.isDirectory() ? "/" : "")).sort());
  const handle = await open(path.join(directory, "xx/y/c"), "r+");
  await handle.write(Buffer.from("J"), 0, 1, 0);
  await handle.truncate(5);
  await handle.sync();
  await handle.utimes(1, 2);
  console.log(await handle.readFile("utf8"), (await handle.stat()).mtimeMs);
  await handle.close();
}

async function errors(directory) {
  const tries = [() => open("/nope"), () => readFile(directory), () => fs.promises.rmdir(directory), () => fs.promises.mkdir(directory)];
  for (const attempt of tries) await attempt().catch(({ code, errno, syscall }) => console.log(code, errno, syscall));
}

async function streams(directory) {
  const file = path.join(directory, "lines");
  const lines = Array.from({ length: 20000 }, (_, i) => `line ${(i * 7919) % 1000}\n`);
  await pipeline(lines, fs.createWriteStream(file));
  await pipeline(fs.createReadStream(file), zlib.createGzip({ level: 9 }), fs.createWriteStream(`${file}.gz`));
  await pipeline(fs.createReadStream(`${file}.gz`), zlib.createGunzip(), fs.createWriteStream(`${file}.again`));
  console.log(digest(fs.readFileSync(file)) === digest(fs.readFileSync(`${file}.again`)));
  let count = 0;
  for await (const _ of createInterface({ input: fs.createReadStream(file, { highWaterMark: 1000 }) })) count++;
  console.log(count);
  const data = Buffer.from(lines.join(""));
  for (const name of ["deflate", "gzip", "brotliCompress"]) {
    const back = { deflate: "inflate", gzip: "gunzip", brotliCompress: "brotliDecompress" }[name];
    console.log(name, digest(zlib[`${back}Sync`](zlib[`${name}Sync`](data))));
  }
}

async function watching(directory) {
  const seen = new Set();
  const until = (event) => new Promise((resolve) => {
    const timer = setInterval(() => seen.has(event) && resolve(clearInterval(timer)), 5);
  });
  const watcher = fs.watch(directory, (type, name) => seen.add(`${type} ${name}`));
  fs.writeFileSync(path.join(directory, "w1"), "1");
  await until("change w1");
  fs.renameSync(path.join(directory, "w1"), path.join(directory, "w2"));
  await until("rename w2");
  watcher.close();
  console.log([...seen]);
}

(async () => {
  const directory = await mkdtemp("/tmp/files-");
  await contents(directory);
  await errors(directory);
  await streams(directory);
  await watching(directory);
  await fs.promises.rm(directory, { recursive: true });
  console.log(fs.existsSync(directory));
})();
