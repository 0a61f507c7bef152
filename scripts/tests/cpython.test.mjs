// CPython's own tests of what it asks the kernel for, in Chromium. How many there are, and how many are skipped, is what
// the same files say on Linux, as root in a directory with the image's files; what fails here is listed with its reason.
import assert from "node:assert/strict";
import { test as declare } from "node:test";

import { inChromium, vm } from "./vm.mjs";

/** Modules: tests run and skipped on Linux, and tests that fail here. */
const MODULES = {
  test_tempfile: { run: 106, skipped: 5 },
  test_mmap: { run: 44, skipped: 8 },
  test_pty: { run: 7, skipped: 0 },
  test_posix: { run: 159, skipped: 26 },
  test_select: { run: 6, skipped: 0 },
  test_os: { run: 316, skipped: 51 },
  test_threading: { run: 194, skipped: 1 },
  // Two more are skipped where a process may have more than 1,026 descriptors.
  test_subprocess: { run: 330, skipped: 32 },
};

/** What takes minutes each: EDGEBOX_CPYTHON=all runs them too. */
const LONG = {
  test_signal: { run: 55, skipped: 4 },
  test_socket: { run: 717, skipped: 109 },
  test_multiprocessing_main_handling: { run: 39, skipped: 0 },
};

const modules = process.env.EDGEBOX_CPYTHON === "all" ? { ...MODULES, ...LONG } : MODULES;

for (const [module, { run, skipped, fails = [] }] of Object.entries(modules)) {
  declare(module, { timeout: 600_000 }, async () => {
    const { stdout, stderr } = await vm(inChromium("cpython"), ["python3", "-m", "unittest", "-v", `test.${module}`]);
    const text = stdout + stderr;
    const failed = [...text.matchAll(/^(?:ERROR|FAIL): (\w+)/gm)].map((match) => match[1]).sort();
    const number = (pattern) => Number(pattern.exec(text)?.[1] ?? 0);
    const found = { run: number(/^Ran (\d+) tests/m), skipped: number(/skipped=(\d+)/), failed };
    assert.deepEqual(found, { run, skipped, failed: fails }, text.slice(-4000));
  });
}
