// `edgebox bench`: benchmarks do the same work natively and in the box.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const tool = process.env.EDGEBOX_TOOL;

test("tiny benchmarks, natively and in the box", { timeout: 120_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), "edgebox-bench-"));
  try {
    const file = join(directory, "figures.json");
    const options = ["--only", "mixint,forkwait", "--column", "native,box", "--scale", "1", "--rounds", "1", "--repeat", "2"];
    const { stdout } = await promisify(execFile)(tool, ["bench", "compute", "system", ...options, "--json", file]);
    assert.match(stdout, /^mixint +[\d.]+ +[\d.]+$/m);
    const { reports: [report] } = JSON.parse(await readFile(file, "utf8"));
    for (const { task, cells: [, box] } of report.summary) {
      assert.equal(box.error, undefined, task);
      assert.equal(box.disagrees, false, task);
      assert.ok(box.ratio > 0, task);
    }
    assert.equal(report.samples.length, 4);
    for (const { runs } of report.samples) assert.equal(runs.length, 2);
  } finally {
    await rm(directory, { recursive: true });
  }
});
