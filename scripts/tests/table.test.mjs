// SOFTWARE.md says what software is run in Chromium. It can't leave a test out, nor name one that is not there.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const read = (name) => readFileSync(new URL(name, import.meta.url), "utf8");
const all = (text, pattern) => [...text.matchAll(pattern)].map((match) => match[1]);

test("the table of software names all tests, and no others", () => {
  const rows = read("SOFTWARE.md").split("\n").filter((line) => line.startsWith("| "));
  const named = rows.flatMap((row) => all(row.split(" | ")[1], /`([^`]+)`/g));
  const scripts = ["software", "terminals", "runtimes"].map((name) => read(`${name}.test.mjs`)).join("");
  const list = /for \(const name of \[(.*)\]\)/.exec(scripts)[1];
  const declared = [
    ...all(scripts, /^(?:prints|draws|printsAsHere)\("([^"]+)"/gm),
    ...all(list, /"(\w+)"/g).map((name) => `node runs ${name}.cjs`),
    ...all(read("cpython.test.mjs"), /^ {2}(test_\w+): \{/gm),
  ];
  assert.deepEqual(named.sort(), declared.sort());
});
