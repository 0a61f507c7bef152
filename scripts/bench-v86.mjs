// The way to a prompt of the same disk, here and in v86, each in Chromium that has never seen it: `edgebox bench v86`.
//
// Argument: JSON { url, image, raw, bios, rounds, file }: a server with the Worker, an image's name and raw file, a directory
// with SeaBIOS, how often all is measured, a file for all figures or "". v86 boots the image's own kernel, with bash as its
// first process, and reads the raw image by ranges from the Worker. What else it needs is sent as a good server would,
// compressed.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompressSync } from "node:zlib";

import { TerminalPage, openBrowser } from "../site/tests/terminal.mjs";
import { medians, printLines } from "./figures.mjs";

const run = promisify(execFile);
const { url, image, raw, bios, rounds, file } = JSON.parse(process.argv[2]);

/** How long v86 may take to its prompt: a kernel boots in an emulator, on a busy machine. */
const PATIENCE_MS = 300_000;

/** What v86's page loads besides the disk, by path. */
async function filesOfV86() {
  const build = join(import.meta.dirname, "../node_modules/v86/build");
  const scratch = await mkdtemp(join(tmpdir(), "edgebox-v86-"));
  const { stdout } = await run("debugfs", ["-R", "ls -p /boot", raw]);
  const names = stdout.split("\n").map((line) => line.split("/")[5]);
  const ofBoot = async (prefix) => {
    const name = names.find((other) => other?.startsWith(prefix));
    if (!name) throw new Error(`${raw} has no /boot/${prefix}…`);
    await run("debugfs", ["-R", `dump /boot/${name} ${join(scratch, prefix)}`, raw]);
    return { bytes: await readFile(join(scratch, prefix)) };
  };
  const compressed = async (path, type) => ({ bytes: brotliCompressSync(await readFile(path)), type, encoding: "br" });
  const files = new Map([
    ["/v86.mjs", await compressed(join(build, "libv86.mjs"), "text/javascript")],
    ["/v86.wasm", await compressed(join(build, "v86.wasm"), "application/wasm")],
    ["/bios.bin", await compressed(join(bios, "bios.bin"))],
    ["/vgabios.bin", await compressed(join(bios, "vgabios-stdvga.bin"))],
    // Compressed already.
    ["/vmlinuz", await ofBoot("vmlinuz-")],
    ["/initrd", await ofBoot("initrd.img-")],
  ]);
  await rm(scratch, { recursive: true });
  return files;
}

function serve(files) {
  const server = createServer(({ url: path }, response) => {
    const { bytes, type, encoding } = files.get(path) ?? { bytes: Buffer.from("<!doctype html>"), type: "text/html" };
    const headers = { "Content-Type": type ?? "application/octet-stream", "Content-Length": bytes.length };
    response.writeHead(200, encoding ? { ...headers, "Content-Encoding": encoding } : headers).end(bytes);
  });
  return new Promise((resolve) => { server.listen(0, "127.0.0.1", () => resolve(server)); });
}

/** Boots v86; runs in the page. Returns what the console has shown, with the prompt at its end, or without it. */
async function bootV86({ disk, patienceMs }) {
  const { V86 } = await import("/v86.mjs");
  const size = Number((await fetch(disk, { method: "HEAD" })).headers.get("content-length"));
  const emulator = new V86({
    wasm_path: "/v86.wasm", bios: { url: "/bios.bin" }, vga_bios: { url: "/vgabios.bin" },
    bzimage: { url: "/vmlinuz" }, initrd: { url: "/initrd" }, hda: { url: disk, size, async: true },
    memory_size: 512 << 20, vga_memory_size: 8 << 20, disable_speaker: true, autostart: true,
    cmdline: "root=/dev/sda rootfstype=ext2 ro console=ttyS0 quiet mitigations=off tsc=reliable random.trust_cpu=on init=/bin/bash",
  });
  let text = "";
  emulator.add_listener("serial0-output-byte", (byte) => { text += String.fromCharCode(byte); });
  const end = Date.now() + patienceMs;
  while (!/# $/.test(text) && Date.now() < end) await new Promise((resolve) => { setTimeout(resolve, 20); });
  return text;
}

/** Bytes and requests of a tab from now on, as its network stack counts them. */
async function countTraffic(page) {
  const traffic = { requests: 0, bytes: 0 };
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  session.on("Network.loadingFinished", ({ encodedDataLength }) => {
    traffic.requests += 1;
    traffic.bytes += encodedDataLength;
  });
  return traffic;
}

const columns = {
  edgebox: async (terminal) => {
    await terminal.page.goto(`${url}/?image=${encodeURIComponent(image)}`);
    await terminal.waitForPrompt();
    return terminal.traffic();
  },
  v86: async (terminal) => {
    const traffic = await countTraffic(terminal.page);
    await terminal.page.goto(`http://127.0.0.1:${server.address().port}/`);
    const shown = await terminal.page.evaluate(bootV86, { disk: `${url}/disk/images/${image}.img`, patienceMs: PATIENCE_MS });
    if (!/# $/.test(shown)) throw new Error(`v86 has not come to a prompt, but to:\n${shown.slice(-2000)}`);
    return traffic;
  },
};

const server = await serve(await filesOfV86());
const results = Object.fromEntries(Object.keys(columns).map((name) => [name, []]));
try {
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, boot] of Object.entries(columns)) {
      const browser = await openBrowser();
      const terminal = await TerminalPage.open(browser, "about:blank");
      const start = performance.now();
      const { requests, bytes } = await boot(terminal);
      results[name].push({ seconds: (performance.now() - start) / 1000, requests, megabytes: bytes / 1e6 });
      await browser.close();
    }
  }
} finally {
  server.close();
}
const summary = Object.fromEntries(Object.entries(results).map(([name, list]) => [name, medians(list)]));
printLines(summary);
if (file) await writeFile(file, `${JSON.stringify({ url, image, rounds, summary, results }, null, 1)}\n`);
