// Raw images by ranges: the Worker's answers compared with nginx's, which has the same image as a file.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { startNginx } from "../servers.mjs";
import { request } from "./http.mjs";

const PATH = "/disk/images/default.img";
const raw = process.env.EDGEBOX_RAW_IMAGE;
const { size } = await stat(raw);

/** Bytes of a body that are compared; longer ones are given up there. */
const COMPARED = 1 << 20;

/** Requests whose answers differ, with both statuses and the reason. README.md lists them. */
const DIFFERENT = {
  "HEAD bytes=0-99": [200, 206, "RFC 9110 defines ranges for GET only"],
  "bytes=0-1,,3-4": [206, 416, "RFC 9110 has empty list elements ignored"],
  "bytes=5-2,0-1": [416, 206, "RFC 9110 lets a set with an invalid range be rejected, not served in part"],
  [`bytes=0-${"9".repeat(30)}`]: [206, 416, "a last position beyond the end is valid, however large"],
  "bytes = 0-4": [206, 200, "white space before and after the unit is forgiven"],
  "41 ranges": [416, 206, "so many ranges are rejected: each may cost a chunk"],
  "bytes=": [416, 200, "a set of no ranges is as malformed as others that are rejected"],
  "bytes=1-1, 3-3 ,\t5-5": [206, 416, "tabs are white space too"],
  "if-match: tag, if-unmodified-since: earlier": [200, 412, "RFC 9110 has dates ignored where there are tags"],
};

/** What is asked: a name, and headers, which may depend on the server's validators. */
const CASES = [
  ["whole", {}],
  ["HEAD", {}, "HEAD"],
  ["HEAD bytes=0-99", { range: "bytes=0-99" }, "HEAD"],
  ["POST", {}, "POST"],
  ...[
    "bytes=0-0", "bytes=0-99", "bytes=1024-2047", "bytes=131000-132000", "bytes=262143-262144", `bytes=${size - 1}-`,
    `bytes=${size - 1000}-${size + 1000}`, `bytes=0-${size - 1}`, "bytes=-1", "bytes=-70000", `bytes=-${size}`, `bytes=-${size + 5}`,
    `bytes=${size}-`, `bytes=${size}-${size + 5}`, "bytes=-0", "bytes=5-2", "bytes=5-2,0-1", "bytes=abc", "bytes=1-x", "bytes=-", "bytes=",
    "bytes", "items=0-5", "BYTES=0-4", "bytes = 0-4", "bytes= 0 - 4 ", "bytes=0-1,5-6", "bytes=5-6,0-1", "bytes=0-9,5-14",
    `bytes=0-1,${size}-,7-7`, "bytes=0-1,,3-4", "bytes=0-,0-", "bytes=1-1, 3-3 ,\t5-5", "bytes=131071-131073,262143-262145,-1",
    `bytes=0-${"9".repeat(30)}`, `bytes=${"9".repeat(30)}-`,
  ].map((range) => [range, { range }]),
  ["40 ranges", { range: `bytes=${Array.from({ length: 40 }, (_, n) => `${n * 9}-${n * 9 + 2}`)}` }],
  ["41 ranges", { range: `bytes=${Array.from({ length: 41 }, (_, n) => `${n * 9}-${n * 9 + 2}`)}` }],
  ["if-range: tag", ({ etag }) => ({ range: "bytes=0-9", "if-range": etag })],
  ["if-range: other tag", { range: "bytes=0-9", "if-range": '"other"' }],
  ["if-range: weak tag", ({ etag }) => ({ range: "bytes=0-9", "if-range": `W/${etag}` })],
  ["if-range: date", ({ modified }) => ({ range: "bytes=0-9", "if-range": modified })],
  ["if-range: earlier", ({ earlier }) => ({ range: "bytes=0-9", "if-range": earlier })],
  ["if-range: later", ({ later }) => ({ range: "bytes=0-9", "if-range": later })],
  ["if-range: nonsense", { range: "bytes=0-9", "if-range": "nonsense" }],
  ["if-range: other tag, no such range", { range: `bytes=${size}-`, "if-range": '"other"' }],
  ["if-none-match: tag", ({ etag }) => ({ "if-none-match": etag })],
  ["if-none-match: weak tag", ({ etag }) => ({ "if-none-match": `W/${etag}` })],
  ["if-none-match: among others", ({ etag }) => ({ "if-none-match": `"a", ${etag}, "b"` })],
  ["if-none-match: *", { "if-none-match": "*" }],
  ["if-none-match: other", { "if-none-match": '"other"' }],
  ["if-none-match: tag, HEAD", ({ etag }) => ({ "if-none-match": etag }), "HEAD"],
  ["if-none-match: tag, range", ({ etag }) => ({ "if-none-match": etag, range: "bytes=0-9" })],
  ["if-none-match: other, date", ({ later }) => ({ "if-none-match": '"other"', "if-modified-since": later })],
  ["if-modified-since: date", ({ modified }) => ({ "if-modified-since": modified })],
  ["if-modified-since: earlier", ({ earlier }) => ({ "if-modified-since": earlier })],
  ["if-modified-since: nonsense", { "if-modified-since": "nonsense" }],
  ["if-match: tag", ({ etag }) => ({ "if-match": etag })],
  ["if-match: weak tag", ({ etag }) => ({ "if-match": `W/${etag}` })],
  ["if-match: *", { "if-match": "*" }],
  ["if-match: other", { "if-match": '"other"' }],
  ["if-match: other, range", { "if-match": '"other"', range: "bytes=0-9" }],
  ["if-unmodified-since: date", ({ modified }) => ({ "if-unmodified-since": modified })],
  ["if-unmodified-since: earlier", ({ earlier }) => ({ "if-unmodified-since": earlier })],
  ["if-match: tag, if-unmodified-since: earlier", ({ etag, earlier }) => ({ "if-match": etag, "if-unmodified-since": earlier })],
];

let directory;
let nginx;
let servers;

/** A server's address and what identifies its version of the image. */
async function introduce(url) {
  const { headers } = await request(url, { method: "HEAD" });
  const modified = headers["last-modified"];
  const shifted = (ms) => new Date(Date.parse(modified) + ms).toUTCString();
  return { url, etag: headers.etag, modified, earlier: shifted(-1000), later: shifted(1000) };
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "edgebox-compared-"));
  await mkdir(join(directory, "disk/images"), { recursive: true });
  await symlink(raw, join(directory, PATH));
  nginx = await startNginx(directory);
  servers = { worker: await introduce(process.env.EDGEBOX_URL + PATH), nginx: await introduce(nginx.url + PATH) };
  for (const { etag, modified } of Object.values(servers)) {
    assert.match(etag, /^"[^"]+"$/, "a strong tag");
    assert.ok(Date.parse(modified) > 0);
  }
});

after(async () => {
  await nginx?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** What of an answer must be the same everywhere. Boundaries and the case of names are each server's own. */
function essence({ status, headers, body }, method) {
  const boundary = /boundary=(.*)/.exec(headers["content-type"])?.[1];
  const own = (text) => (boundary ? text.replaceAll(boundary, "BOUNDARY") : text);
  if (status >= 400) return { status, range: headers["content-range"] };
  let content = body.subarray(0, COMPARED).toString("latin1");
  if (boundary) content = own(content).replaceAll(/\r\n(Content-Type|Content-Range): /gi, (name) => name.toLowerCase());
  // Messages of several parts differ in length as boundaries do.
  const length = boundary || status === 304 ? undefined : headers["content-length"];
  return {
    status, length, type: status === 304 ? undefined : own(headers["content-type"]), range: headers["content-range"],
    hasTag: headers.etag !== undefined, hasDate: headers["last-modified"] !== undefined,
    acceptsRanges: method === "GET" && status === 200 ? headers["accept-ranges"] : undefined, content,
  };
}

async function both(headers, method) {
  const ask = async (server) => {
    const own = typeof headers === "function" ? headers(server) : headers;
    return essence(await request(server.url, { method, headers: own, limit: COMPARED }), method);
  };
  return { worker: await ask(servers.worker), nginx: await ask(servers.nginx) };
}

for (const [name, headers, method = "GET"] of CASES) {
  test(`${name}: as nginx answers${DIFFERENT[name] ? `, but ${DIFFERENT[name][2]}` : ""}`, async () => {
    const { worker, nginx } = await both(headers, method);
    if (DIFFERENT[name]) {
      assert.deepEqual([worker.status, nginx.status], DIFFERENT[name].slice(0, 2));
    } else {
      assert.deepEqual(worker, nginx);
    }
  });
}

test("any range: as nginx answers", async () => {
  // A small generator of its own, so that a failure can be repeated.
  let state = 1;
  const random = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let round = 0; round < 150; round += 1) {
    const one = () => {
      const first = random(size);
      return [`${first}-${first + random(300000)}`, `${size - 1 - random(200000)}-`, `-${random(200000)}`][random(3)];
    };
    const range = `bytes=${Array.from({ length: 1 + random(3) }, one)}`;
    const { worker, nginx } = await both({ range }, "GET");
    assert.deepEqual(worker, nginx, range);
  }
});
