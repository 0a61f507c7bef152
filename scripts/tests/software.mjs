// Runs scripts in the image of Debian's software, or another, in Chromium.
import assert from "node:assert/strict";
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
