// Programs that generate code as they run, in Chromium: Debian's node says what the tests' own says on this machine.
// Others that ask much of the kernel say what they said on Linux, in a directory with the image's files.
import { fileURLToPath } from "node:url";

import { prints, printsAsHere } from "./software.mjs";

const directory = fileURLToPath(new URL("runtimes", import.meta.url));

for (const name of ["engine", "files", "network", "processes", "threads"]) {
  const options = { image: "runtimes", here: process.execPath };
  printsAsHere(`node runs ${name}.cjs`, directory, "node", `${name}.cjs`, options);
}

const inImage = { image: "runtimes", bind: `${directory}:/mnt` };

// An end of file that is typed before node looks is read as a zero, on Linux too.
prints("node answers at a terminal", `
  printf 'let x = [1, 2].map(\\nn => n * 21)\\nconsole.log("terminal", process.stdout.isTTY, String(x))\\n.exit\\n' |
    script -qec 'NO_COLOR=1 TERM=dumb node -i' /dev/null | tr -d '\\r\\0' | grep '^terminal'`,
  "terminal true 21,42\n", inImage);

prints("node's test runner counts", `
  printf 'const test = require("node:test");
    test("outer", async (t) => { await t.test("inner", () => {}); await t.test("bad", () => { throw 1 }) });
    test("skipped", { skip: true }, () => {});' > a.test.cjs
  node --test a.test.cjs | grep -E '^# (tests|pass|fail|skipped)'`,
  "# tests 4\n# pass 1\n# fail 2\n# skipped 1\n", inImage);

prints("psutil reads what the kernel says of itself and of processes", "python3 /mnt/system.py", `True True True True True
True True
['/tmp/x']
['LISTEN']
127.0.0.1 255.0.0.0 65536 True
[] True
python3 ['python3', '/mnt/system.py'] /tmp /usr/bin/python3.11 root
1 0 0 True
True True True
[True]
-15
`, inImage);

prints("jemalloc serves python's threads", `
  export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2
  PYTHONMALLOC=malloc python3 /mnt/allocator.py
  MALLOC_CONF=stats_print:true python3 -c pass 2>&1 | grep -c '^___ Begin jemalloc'`,
  "[25000000, 25000000, 25000000, 25000000] True\n1\n", inImage);
