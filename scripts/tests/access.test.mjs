// Private deployments over HTTP: who gets what, with which token, and what is said to everybody else; and what a page makes of it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";

import { createTestHarness } from "wrangler";

import { TerminalPage, openBrowser } from "../../site/tests/terminal.mjs";
import { startWorker } from "../servers.mjs";
import { request } from "./http.mjs";

const run = promisify(execFile);
const project = join(import.meta.dirname, "../..");
const KEY = "0123456789abcdef0123456789abcdef";
const now = () => Math.floor(Date.now() / 1000);

/** A token, made here from what the documentation says: by another implementation than the Worker's. */
function sign(scope, expires, { key = KEY, deployment = "" } = {}) {
  const mac = createHmac("sha256", key).update(`edgebox access 1\n${deployment}\n${scope}\n${expires}`).digest("hex");
  return `${scope}.${expires}.${mac}`;
}

let directory;
/** Keys and bytes of two images. @type {Map<string, Buffer>} */
const objects = new Map();
/** A chunk of the image "secret". */
let chunk;
const harnesses = [];

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "edgebox-access-"));
  for (const [name, fill] of [["secret", 7], ["other", 9]]) {
    await writeFile(join(directory, "raw"), Buffer.alloc(200_000, fill));
    await run(process.env.EDGEBOX_TOOL, ["--build-dir", directory, "pack", "raw", "-t", name, "--no-profile"], { cwd: directory });
  }
  for (const file of await readdir(join(directory, "disk"), { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const kind = file.parentPath.startsWith(join(directory, "disk/chunks")) ? "chunks" : "manifests";
    objects.set(`${kind}/${file.name}`, await readFile(join(file.parentPath, file.name)));
  }
  ({ image: { index_root: chunk } } = JSON.parse(objects.get("manifests/secret.json")));
});
after(async () => {
  await Promise.all(harnesses.map((harness) => harness.close()));
  await rm(directory, { recursive: true, force: true });
});

/** A Worker with these variables; a secret is one to it. */
async function start(name, vars) {
  const config = {
    name: `edgebox-${name}`, main: join(project, "build/edge/worker.js"), compatibility_date: "2026-05-01", compatibility_flags: ["nodejs_compat"],
    vars: { CORS_ORIGINS: "*", CACHE: "on", ...vars }, r2_buckets: [{ binding: "DISK", bucket_name: "disk" }],
  };
  const configPath = join(directory, `${name}.json`);
  await writeFile(configPath, JSON.stringify(config));
  const harness = createTestHarness({ root: directory, workers: [{ configPath }] });
  harnesses.push(harness);
  const { url } = await harness.listen();
  const { DISK } = await harness.getWorker().getEnv();
  for (const [key, bytes] of objects) await DISK.put(key, bytes);
  if (vars.PREVIEW) await DISK.put(`previews/${vars.PREVIEW}/secret.json`, objects.get("manifests/other.json"));
  return (path, token, options = {}) => {
    const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...options.headers };
    return request(`${url.origin}/disk/${path}`, { ...options, headers });
  };
}

const PATHS = () => ["manifests/secret.json", "images/secret.img", `chunks/${chunk}`];

describe("a private deployment", () => {
  let get;
  before(async () => { get = await start("private", { ACCESS_KEY: KEY }); });

  test("gives nothing to who has no token, whether it is there or not", async () => {
    for (const method of ["GET", "HEAD"]) {
      for (const path of [...PATHS(), "manifests/absent.json", `chunks/${"1".repeat(64)}`]) {
        const { status, headers, body } = await get(path, null, { method });
        assert.equal(status, 401, path);
        assert.match(headers["www-authenticate"], /^Bearer realm=/);
        assert.equal(headers["cache-control"], "no-store");
        assert.ok(body.length < 200);
      }
    }
  });

  test("gives everything to who has a token, for private caches only", async () => {
    for (const scope of ["secret", "*"]) {
      for (const path of PATHS()) {
        const { status, headers, body } = await get(path, sign(scope, now() + 60));
        assert.equal(status, 200, path);
        assert.match(headers["cache-control"], /^private, /);
        assert.doesNotMatch(headers["cache-control"], /public/);
        if (path.startsWith("manifests/")) assert.ok(body.equals(objects.get(path)));
      }
    }
  });

  test("gives no image to who has a token for another one, and does not say whether it is there", async () => {
    const token = sign("other", now() + 60);
    const answers = [];
    for (const name of ["secret", "absent"]) {
      for (const path of [`manifests/${name}.json`, `images/${name}.img`]) {
        const { status, body } = await get(path, token);
        answers.push(`${status} ${body}`);
      }
    }
    assert.deepEqual(answers, Array(4).fill("403 This token is for another image.\n"));
    assert.equal((await get("manifests/other.json", token)).status, 200);
  });

  test("gives chunks to who has any token: their names can't be guessed", async () => {
    assert.equal((await get(`chunks/${chunk}`, sign("other", now() + 60))).status, 200);
  });

  test("takes no token that was changed, has expired, or was made for something else", async () => {
    const good = sign("secret", now() + 60);
    const [scope, expires, mac] = good.split(".");
    const bad = [
      "", "nonsense", "..", good.slice(0, -1), `${good}0`, `${good}.`, `*.${expires}.${mac}`, `other.${expires}.${mac}`,
      `${scope}.${Number(expires) + 1}.${mac}`, `${scope}.${expires}.${"0".repeat(64)}`, `${scope}.${expires}.`,
      sign("secret", now() + 60, { key: `${KEY}0` }), sign("secret", now() + 60, { deployment: "topic" }), sign("../secret", now() + 60),
      sign("secret", "1e99"), sign("secret", "-1"), sign("secret", ""), sign("secret", "99999999999999999999999"), "x".repeat(10_000),
    ];
    for (const token of bad) {
      for (const path of PATHS()) assert.equal((await get(path, token)).status, 401, token);
    }
    const late = await get("manifests/secret.json", sign("secret", now() - 1));
    assert.equal(late.status, 401);
    assert.match(late.body.toString(), /has expired/);
    assert.match(late.headers["www-authenticate"], /error="invalid_token"/);
    assert.equal((await get("manifests/secret.json", null, { headers: { authorization: `Basic ${good}` } })).status, 401);
    assert.equal((await get(`manifests/secret.json?access=${good}`)).status, 401, "addresses end up in logs");
    assert.equal((await get("manifests/secret.json", null, { headers: { cookie: `access=${good}` } })).status, 401);
  });

  test("answers conditions and ranges only after that", async () => {
    const headers = { "if-none-match": `"${chunk}"` };
    assert.equal((await get(`chunks/${chunk}`, null, { headers })).status, 401);
    const part = { headers: { range: "bytes=5-9" } };
    assert.equal((await get("images/secret.img", null, part)).status, 401);
    assert.equal((await get("images/secret.img", sign("secret", now() + 60), part)).body.toString("hex"), "0707070707");
  });

  test("has no ways around its names", async () => {
    const token = sign("*", now() + 60);
    for (const path of ["", "manifests/", "manifests/../manifests/secret.json", "manifests/%2e%2e/secret.json", "chunks/", "previews/topic/secret.json", "retired/x.json"]) {
      const { status } = await get(path, token);
      assert.ok([200, 400, 404].includes(status) && (status !== 200 || path.includes("../manifests/secret.json")), `${path}: ${status}`);
    }
    for (const path of ["manifests/../manifests/secret.json", "./manifests/secret.json", "manifests//secret.json"]) {
      assert.notEqual((await get(path)).status, 200, path);
    }
  });

  test("tells browsers that scripts of other pages may send a token", async () => {
    const { status, headers } = await get("manifests/secret.json", null, {
      method: "OPTIONS", headers: { origin: "https://docs.example", "access-control-request-method": "GET", "access-control-request-headers": "authorization" },
    });
    assert.equal(status, 204);
    assert.match(headers["access-control-allow-headers"], /\bauthorization\b/);
    assert.equal(headers["access-control-allow-credentials"], undefined);
    const refused = await get("manifests/secret.json", null, { headers: { origin: "https://docs.example" } });
    assert.equal(refused.headers["access-control-allow-origin"], "*", "the page has to learn why");
  });
});

test("a preview takes its own tokens only, and shows its own images", async () => {
  const get = await start("preview", { ACCESS_KEY: KEY, PREVIEW: "topic" });
  for (const scope of ["secret", "*"]) {
    assert.equal((await get("manifests/secret.json", sign(scope, now() + 60))).status, 401);
    assert.equal((await get("manifests/secret.json", sign(scope, now() + 60, { deployment: "other" }))).status, 401);
    const own = await get("manifests/secret.json", sign(scope, now() + 60, { deployment: "topic" }));
    assert.ok(own.body.equals(objects.get("manifests/other.json")));
  }
});

test("what is configured by half is open to nobody", async () => {
  for (const [name, vars] of [["keyless", { ACCESS: "token" }], ["short", { ACCESS_KEY: "short" }], ["both", { ACCESS: "everybody", ACCESS_KEY: KEY }]]) {
    const get = await start(name, vars);
    for (const path of PATHS()) {
      const { status, body } = await get(path, sign("*", now() + 60));
      assert.equal(status, 503, `${name} ${path}`);
      assert.match(body.toString(), /This deployment is not ready: ACCESS/);
    }
  }
});

test("by default nothing is private", async () => {
  const get = await start("open", {});
  for (const token of [null, "nonsense"]) {
    const { status, headers } = await get("manifests/secret.json", token);
    assert.equal(status, 200);
    assert.match(headers["cache-control"], /^public, /);
  }
});

describe("a page with a private image", { timeout: 180_000 }, () => {
  let server;
  let browser;
  /** @type {TerminalPage} */
  let terminal;
  const link = (token) => `${server.url}/${token ? `#access=${token}` : ""}`;
  const status = (pattern) => terminal.page.waitForFunction(
    (source) => new RegExp(source).test(document.getElementById("status").textContent), pattern.source, { timeout: 60_000 },
  );

  before(async () => {
    // Filled by who started these tests.
    server = await startWorker(join(project, ".wrangler/state"), { ACCESS_KEY: KEY });
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });
  beforeEach(async () => { terminal = await TerminalPage.open(browser, "about:blank"); });
  afterEach(() => terminal.close());

  test("says that it needs a link, and starts when there is one", async () => {
    await terminal.page.goto(link());
    await status(/access to the image "default" is denied: This is private/);
    const loaded = terminal.page.waitForEvent("load");
    await terminal.page.evaluate((hash) => { location.hash = hash; }, `access=${sign("default", now() + 600)}`);
    await loaded;
    await terminal.waitForPrompt();
  });

  test("starts with the token of the link, which it keeps, but not in its address", async () => {
    const urls = [];
    terminal.page.context().on("request", (request) => urls.push(request.url().replace(/#.*/, "")));
    await terminal.page.goto(link(sign("default", now() + 600)));
    await terminal.waitForPrompt();
    assert.equal(new URL(terminal.page.url()).hash, "");
    await terminal.page.goto(link());
    await terminal.waitForPrompt();
    assert.ok(urls.length > 10 && !urls.some((url) => url.includes("access")), "no server is told in an address");
  });

  test("says that a token has expired or is for something else", async () => {
    for (const [token, why] of [
      [sign("default", now() - 1), /denied: This token has expired/], [sign("other", now() + 60), /denied: This token is for another image/],
    ]) {
      await terminal.page.goto("about:blank");
      await terminal.page.goto(link(token));
      await status(why);
    }
  });

  test("waits where its token expires while it runs, and goes on with the next one", async () => {
    await terminal.page.goto(link(sign("default", now() + 600)));
    await terminal.waitForPrompt();
    const late = sign("default", now() - 1);
    await terminal.page.evaluate((token) => globalThis.box.setAccess(token), late);
    const running = terminal.page.evaluate(() => globalThis.box.run(["python3", "-c", "print(6 * 7)"]));
    await status(/Access is denied: This token has expired\. The machine waits/);
    // The link is opened in another tab of the same browser.
    const other = await terminal.page.context().newPage();
    await other.goto(link(sign("default", now() + 600)));
    assert.equal((await running).stdout, "42\n");
    await status(/^ready: /);
  });
});

describe("the tool", () => {
  const make = (args, env = { ACCESS_KEY: KEY }) => run(process.env.EDGEBOX_TOOL, ["deploy", "token", ...args], { env: { PATH: process.env.PATH, ...env } });

  test("makes tokens for images, deployments and previews", async () => {
    for (const [args, scope, deployment] of [
      [["--image", "secret"], "secret", ""], [[], "*", ""], [["--image", "secret", "--preview", "topic"], "secret", "topic"],
    ]) {
      const { stdout, stderr } = await make([...args, "--for", "2h"]);
      const token = stdout.trim();
      const expires = Number(token.split(".").at(-2));
      assert.ok(Math.abs(expires - now() - 7200) < 60, token);
      assert.equal(token, sign(scope, expires, { deployment }));
      assert.ok(stderr.includes(`#access=${token}`));
    }
  });

  test("says what is wrong", async () => {
    const fails = (args, env, why) => assert.rejects(make(args, env), (error) => why.test(error.stderr) && !error.stdout);
    await fails(["--for", "7d"], {}, /no variable ACCESS_KEY/);
    await fails(["--for", "7d"], { ACCESS_KEY: "short" }, /32 characters or more/);
    await fails(["--for", "400d"], undefined, /write 30m, 12h or 7d/);
    await fails(["--image", "../x", "--for", "1d"], undefined, /can't name an image/);
  });
});
