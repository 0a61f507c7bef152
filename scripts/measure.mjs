// What a visitor gets: seconds, requests and bytes to the prompt, speed and memory. `edgebox bench`.
//
// Argument: JSON { url, image, rounds, line, file }: `line` is null or { roundTripMs, bytesPerS }, by which the server is then
// reached; `file` gets all figures, or is "". Each round opens the page in a browser that has never seen it (cold), then again
// in the same one (warm), then once more after its HTTP cache has been emptied (kept), types nothing, and runs a loop in
// python3; and in further browsers programs that nobody started there before. Requests are what went over the network,
// those that found nothing changed included.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

import { TerminalPage, openBrowser } from "../site/tests/terminal.mjs";
import { medians, printLines } from "./figures.mjs";
import { openLine } from "./line.mjs";

const { url: server, image, rounds, line, file } = JSON.parse(process.argv[2]);
const slow = line && await openLine(server, line);
const url = `${slow?.url ?? server}/?image=${encodeURIComponent(image)}`;

/** Guest work for the speed figure: arithmetic and memory in an interpreter, as much guest software is. */
const LOOP = ["python3", "-c", "s = 0\nfor i in range(1000000): s += i * 3 ^ i\nprint(s)"];

/** What visitors of the default image do first, perhaps. Its profile has the same. */
const PROGRAMS = { python3: ["python3", "-c", "pass"], gcc: ["gcc", "-o", "/tmp/hello", "hello.c"] };

/** Resident bytes of the largest renderer process: the tab. */
function tabBytes() {
  const sizes = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("--type=renderer")) return 0;
      return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
    } catch {
      return 0; // It has ended meanwhile.
    }
  });
  return Math.max(0, ...sizes);
}

/** Opens the page in a tab and reports on the way to the prompt. */
async function boot(terminal) {
  await terminal.page.goto(url);
  const promptMs = await terminal.page.evaluate(() => new Promise((resolve) => {
    const look = () => {
      const buffer = globalThis.terminal?.buffer?.active;
      const line = buffer?.getLine(buffer.baseY + buffer.cursorY)?.translateToString(true) ?? "";
      if (/\$ *$/.test(line)) resolve(performance.now());
      else setTimeout(look, 5);
    };
    look();
  }));
  const { instructions } = await terminal.page.evaluate(() => globalThis.box.stats());
  const { requests, bytes, diskRequests, diskBytes } = await terminal.traffic();
  return {
    promptS: promptMs / 1000, requests, megabytes: bytes / 1e6,
    diskRequests, diskMegabytes: diskBytes / 1e6, instructions: instructions / 1e6,
  };
}

async function speed(terminal) {
  return terminal.page.evaluate(async (loop) => {
    const before = await globalThis.box.stats();
    const start = performance.now();
    await globalThis.box.run(loop);
    const after = await globalThis.box.stats();
    return {
      loopS: (performance.now() - start) / 1000,
      mips: (after.instructions - before.instructions) / (after.runMs - before.runMs) / 1000,
      engineMegabytes: after.engineBytes / 1e6,
    };
  }, LOOP);
}

/** A program's first run after a first boot; nothing if the image does not have it. */
async function firstRun(command) {
  const browser = await openBrowser();
  const terminal = await TerminalPage.open(browser, "about:blank");
  await boot(terminal);
  const before = await terminal.traffic();
  const run = await terminal.page.evaluate(async (command) => {
    const start = performance.now();
    const { status } = await globalThis.box.run(command);
    return { status, seconds: (performance.now() - start) / 1000 };
  }, command);
  const after = await terminal.traffic();
  await browser.close();
  const [requests, megabytes] = [after.requests - before.requests, (after.bytes - before.bytes) / 1e6];
  return run.status === 0 ? [{ seconds: run.seconds, requests, megabytes }] : [];
}

const results = { cold: [], warm: [], kept: [], speed: [] };
for (const name of Object.keys(PROGRAMS)) results[name] = [];
for (let round = 0; round < rounds; round += 1) {
  const browser = await openBrowser();
  const terminal = await TerminalPage.open(browser, "about:blank");
  results.cold.push(await boot(terminal));
  await terminal.waitUntilKept();
  results.warm.push(await boot(terminal));
  await terminal.emptyHttpCache();
  results.kept.push(await boot(terminal));
  results.speed.push({ ...(await speed(terminal)), tabMegabytes: tabBytes() / 1e6 });
  await browser.close();
  for (const [name, command] of Object.entries(PROGRAMS)) results[name].push(...await firstRun(command));
}
slow?.stop();
const measured = Object.entries(results).filter(([, list]) => list.length > 0);
const summary = Object.fromEntries(measured.map(([kind, list]) => [kind, medians(list)]));
printLines(summary);
if (file) writeFileSync(file, `${JSON.stringify({ server, image, line, rounds, summary, results }, null, 1)}\n`);
