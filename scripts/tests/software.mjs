// Runs scripts in the image of Debian's software, or another, in Chromium.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test as declare } from "node:test";

import { inChromium, vm } from "./vm.mjs";

/** Waits until a command succeeds: programs say when they are ready in ways of their own, or not at all. */
const UNTIL = "until_it() { for i in $(seq 200); do \"$@\" >/dev/null 2>&1 && return; sleep 0.1; done; echo \"no $*\"; }\n";

/** Declares a test: a script of bash's, and what it must print. */
export function prints(name, script, expected, { image = "software", bind } = {}) {
  const options = [...inChromium(image), ...(bind ? ["--bind", bind] : [])];
  declare(name, { timeout: 180_000 }, async () => {
    const { status, stdout } = await vm(options, ["bash", "-c", UNTIL + script]);
    if (expected instanceof RegExp) assert.match(stdout, expected);
    else assert.equal(stdout, expected);
    assert.equal(status, 0);
  });
}

/** Declares a test: `program` makes of `file` in `directory` what this machine's own (`here`, if it is elsewhere) does. */
export function printsAsHere(name, directory, program, file, { image = "software", here = program } = {}) {
  declare(name, { timeout: 180_000 }, async () => {
    const expected = spawnSync(here, [`${directory}/${file}`], { encoding: "utf8", cwd: "/tmp" });
    const { status, stdout } = await vm([...inChromium(image), "--bind", `${directory}:/mnt`], [program, `/mnt/${file}`]);
    assert.equal(stdout, expected.stdout);
    assert.equal(status, expected.status);
  });
}
