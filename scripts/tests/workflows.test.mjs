// The workflows in .github/workflows, as GitHub's own language service judges them, and what we demand of them beyond that.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { test } from "node:test";

import { TextDocument } from "vscode-languageserver-textdocument";
import { parse } from "yaml";

// The package is made for bundlers, which don't ask for what JSON is to be imported as.
const asJson = (url, context) => (url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context);
registerHooks({ load: (url, context, next) => next(url, asJson(url, context)) });
const { validate } = await import("@actions/languageservice");

const directory = join(import.meta.dirname, "../../.github/workflows");
const judge = (name, text) => validate(TextDocument.create(`file:///.github/workflows/${name}`, "yaml", 0, text));

/** What a job may be allowed beyond reading the code. */
const PERMISSIONS = { "preview.yml comment": { "pull-requests": "write" }, "pages.yml publish": { pages: "write", "id-token": "write" } };

for (const name of readdirSync(directory)) {
  const text = readFileSync(join(directory, name), "utf8");
  const workflow = parse(text);
  const jobs = Object.entries(workflow.jobs);
  const steps = jobs.flatMap(([, job]) => job.steps);

  test(`${name} is a workflow`, async () => {
    assert.deepEqual(await judge(name, text), []);
  });

  test(`${name} runs no code but ours and GitHub's, as it was when it was looked at`, () => {
    for (const { uses } of steps) assert.match(uses ?? "actions/none@".padEnd(53, "0"), /^actions\/[a-z-]+@[0-9a-f]{40}$/);
  });

  test(`${name} may do what it needs, and no more`, () => {
    assert.deepEqual(workflow.permissions, { contents: "read" });
    for (const [job, { permissions }] of jobs) assert.deepEqual(permissions, PERMISSIONS[`${name} ${job}`], job);
    assert.ok(!("pull_request_target" in workflow.on), "code of strangers never runs with secrets");
    for (const step of steps.filter(({ uses }) => uses?.startsWith("actions/checkout@"))) {
      assert.equal(step.with["persist-credentials"], false);
    }
  });

  test(`the scripts in ${name} are well formed, and no name that somebody chose becomes part of one`, () => {
    for (const { run } of steps.filter(({ run }) => run)) {
      assert.doesNotMatch(run, /\$\{\{/);
      execFileSync("bash", ["-n"], { input: run });
    }
  });
}

test("the judge finds mistakes", async () => {
  const text = readFileSync(join(directory, "deploy.yml"), "utf8");
  for (const [from, to] of [["runs-on:", "runs_on:"], ["secrets.CLOUDFLARE", "nowhere.CLOUDFLARE"], ["branches: [main]", "branch: [main]"]]) {
    // It remembers documents by their names.
    assert.notDeepEqual(await judge(`${to}.yml`, text.replace(from, to)), [], to);
  }
});
