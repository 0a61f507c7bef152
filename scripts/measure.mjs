// What a visitor gets: seconds, requests and bytes to the prompt, speed and memory. `edgebox bench`.
//
// Arguments: URL, rounds, path of a JSON file or "". Each round opens the page in a browser that has never seen it
// (cold), then again in the same one (warm), then once more after its HTTP cache has been emptied (kept), types nothing, and
// runs a loop in python3. Requests are what went over the network, those that found nothing changed included.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

import { TerminalPage, openBrowser } from "../site/tests/terminal.mjs";

const [url, roundsText, file] = process.argv.slice(2);
const rounds = Number(roundsText);

/** Guest work for the speed figure: arithmetic and memory in an interpreter, as much guest software is. */
const LOOP = ["python3", "-c", "s = 0\nfor i in range(1000000): s += i * 3 ^ i\nprint(s)"];

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

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

const results = { cold: [], warm: [], kept: [], speed: [] };
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
}
const summary = Object.fromEntries(Object.entries(results).map(([kind, list]) => [
  kind, Object.fromEntries(Object.keys(list[0]).map((name) => [name, median(list.map((each) => each[name]))])),
]));
for (const [kind, figures] of Object.entries(summary)) {
  const cells = Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(value < 10 ? 2 : 0)}`);
  console.log(`${kind.padEnd(6)} ${cells.join("  ")}`);
}
if (file) writeFileSync(file, `${JSON.stringify({ url, rounds, summary, results }, null, 1)}\n`);
