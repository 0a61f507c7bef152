// What heavy work leaves on the disk: e2fsck has nothing to say, and debugfs reads from it what the guest read.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { vm } from "./vm.mjs";

const run = promisify(execFile);
const scripts = fileURLToPath(new URL("software", import.meta.url));

/** How the workloads list what they have made; the lines follow whatever they said before. */
const LISTING = [
  String.raw`find . -mindepth 1 \( -type f -o -type d \) -printf '%P %y %m %U %G %Ts\n' -o -type l -printf '%P %l\n' | sort`,
  "find . -type f -print0 | sort -z | xargs -0 cksum",
].join("\n");

test("e2fsck and debugfs agree with the guest about a disk that was worked on", { timeout: 300_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), "edgebox-disk-"));
  try {
    const [disk, copy] = ["disk.ext2", "copy"].map((name) => join(directory, name));
    const options = ["--image", "software", "--user", "root", "--bind", `${scripts}:/mnt`, "--save-disk", disk];
    const { status, stdout, stderr } = await vm(options, ["bash", "-c", `. /mnt/workloads.sh\n${LISTING}`]);
    assert.equal(status, 0, stderr);
    await run("e2fsck", ["-fn", disk]);
    await run("mkdir", [copy]);
    await run("debugfs", ["-R", `rdump /work ${copy}`, disk]);
    const here = { cwd: join(copy, "work"), maxBuffer: 1 << 26, env: { ...process.env, LC_ALL: "C" } };
    const { stdout: expected } = await run("sh", ["-c", LISTING], here);
    const [seen, read] = [stdout, expected].map((text) => text.split("\n"));
    assert.ok(read.length > 5000, `${read.length} lines`);
    assert.deepEqual(seen, read);
    // What copies don't have.
    const ask = async (request) => (await run("debugfs", ["-R", request, disk])).stdout;
    assert.match(await ask("stat /work/original"), /^Inode: .*Mode: +0644 [^]*^Links: 101 /m);
    assert.match(await ask("stat /work/device"), /Type: character special +Mode: +04751 [^]*Device major\/minor number: 01:03/m);
    assert.match(await ask("stat /huge/sparse"), /Size: 10737418240\n[^]*Links: 1 +Blockcount: 80\n/);
    assert.match(await ask("ea_list /work/tiny"), /user\.colour \(5\) = "green"/);
  } finally {
    await rm(directory, { recursive: true });
  }
});
