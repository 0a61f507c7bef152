// Requests to a bucket that has trouble, and the progress an upload shows.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { PAUSES_MS, client } from "../bucket-client.mjs";

/** What becomes of a request. */
const answers = {
  right: (response) => response.end("content"),
  none: (response) => response.writeHead(404).end("there is no such object"),
  refused: (response) => response.writeHead(403).end("no"),
  broken: (response) => response.writeHead(500).end("internal error (10001)"),
  busy: (response) => response.writeHead(429).end("reduce your rate"),
  overloaded: (response) => response.writeHead(503).end(),
  closed: (response) => response.destroy(),
  cut: (response) => { response.writeHead(200, { "content-length": 100 }).write("con"); setImmediate(() => response.destroy()); },
  silent: () => {},
};

let server;
let url;
/** What the next requests get, and what they were. */
let script = [];
let seen = [];

before(async () => {
  server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    seen.push(`${request.method} ${request.url} ${request.headers.authorization} ${Buffer.concat(parts)}`);
    answers[script.shift()](response);
  });
  await new Promise((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  url = `http://127.0.0.1:${server.address().port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

/** Puts an object while the server does as `wanted` says; returns what came of it, and the pauses made. */
async function put(wanted, options) {
  [script, seen] = [[...wanted], []];
  const pauses = [];
  const request = client(url, "token", { pause: async (ms) => { pauses.push(ms); }, ...options });
  const outcome = await request("/object?key=chunks%2Fx", { method: "PUT", body: "bytes" }).catch((error) => error);
  assert.ok(seen.every((line) => line === "PUT /object?key=chunks%2Fx token bytes"), seen.join("\n"));
  assert.deepEqual(script, [], "all of it was needed");
  return { outcome, pauses };
}

test("what fails is tried again, after longer and longer pauses", async () => {
  for (const trouble of ["broken", "busy", "overloaded", "closed", "cut"]) {
    for (const times of [0, 1, PAUSES_MS.length]) {
      const { outcome, pauses } = await put([...Array(times).fill(trouble), "right"]);
      assert.equal(outcome.body?.toString(), "content", `${trouble}: ${outcome}`);
      assert.deepEqual(pauses, PAUSES_MS.slice(0, times));
    }
  }
  assert.ok(PAUSES_MS.every((ms, at) => at === 0 || ms >= 2 * PAUSES_MS[at - 1]));
});

test("an answer that never comes is not waited for", async () => {
  const { outcome, pauses } = await put(["silent", "right"], { timeoutMs: 3000 });
  assert.equal(outcome.body?.toString(), "content", String(outcome));
  assert.deepEqual(pauses, PAUSES_MS.slice(0, 1));
});

test("what lasts is reported, and what is refused or missing at once", async () => {
  const { outcome, pauses } = await put(Array(PAUSES_MS.length + 1).fill("broken"));
  assert.match(outcome.message, /internal error \(10001\)/);
  assert.deepEqual(pauses, PAUSES_MS);
  const refused = await put(["refused"]);
  assert.deepEqual([refused.outcome.message, refused.pauses], ["no", []]);
  const missing = await put(["none"]);
  assert.deepEqual([missing.outcome.isThere, missing.pauses], [false, []]);
});
