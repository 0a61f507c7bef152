// An account that is none: it answers wrangler's requests to Cloudflare's API, and remembers them.
import http from "node:http";

/** Cloudflare's codes for what there is not. */
const CODES = { "/r2/": 10006, "/previews/": 10025, "/services/": 10090 };

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

/** The settings that go with an uploaded Worker: the part of a form that is JSON. */
async function settingsOf(body, type) {
  const form = await new Response(body, { headers: { "content-type": type } }).formData();
  const metadata = form.get("metadata");
  return JSON.parse(typeof metadata === "string" ? metadata : await metadata.text());
}

/**
 * Starts it.
 * @returns {Promise<{ env: object, requests: { line: string, json: any }[], hasBucket: boolean, stop(): void }>} `env`: what
 *   wrangler needs to take it for the account; `json`: a request's body, or the settings of the Worker in it
 */
export async function startAccount() {
  const account = { requests: [], hasBucket: false };
  const result = (line) => {
    if (/^GET .*\/r2\/buckets\/[^/]+$/.test(line)) return account.hasBucket ? { name: "edgebox-disk" } : undefined;
    if (/^GET .*\/previews\/[^/]+$/.test(line)) return undefined;
    // What an account says of a Worker that nobody deployed yet.
    if (/^GET .*\/services\/[^/]+$/.test(line)) return undefined;
    if (/\/secrets$/.test(line)) return [];
    if (/^GET .*\/deployments$/.test(line)) return { deployments: [] };
    if (/^GET .*\/settings$/.test(line)) return { bindings: [] };
    if (/\/assets-upload-session$/.test(line)) return { jwt: "token", buckets: [] };
    if (/\/subdomain$/.test(line)) return { subdomain: "somebody", enabled: true, previews_enabled: true };
    if (/^POST .*\/previews$/.test(line)) return { id: "p", name: "p", slug: "p", urls: ["https://preview-edgebox.somebody.workers.dev"] };
    if (/^POST .*\/deployments$/.test(line)) return { id: "d", preview_id: "p", urls: ["https://d-edgebox.somebody.workers.dev"] };
    const subdomain = { enabled: true, previews_enabled: true, url: "https://edgebox.somebody.workers.dev" };
    return { id: "x", startup_time_ms: 1, subdomain };
  };
  const server = http.createServer(async (request, response) => {
    const line = `${request.method} ${new URL(request.url, "http://account").pathname.replace(/^.*\/accounts\/[0-9a-f]+/, "")}`;
    const [body, type] = [await bodyOf(request), request.headers["content-type"] ?? ""];
    let json;
    if (type.startsWith("multipart/")) json = await settingsOf(body, type).catch(() => undefined);
    else if (body.at(0) === "{".charCodeAt(0)) json = JSON.parse(body);
    account.requests.push({ line, json });
    if (line === "POST /r2/buckets") account.hasBucket = true;
    const found = result(line);
    response.writeHead(found ? 200 : 404, { "content-type": "application/json" });
    const errors = found ? [] : [{ code: (Object.entries(CODES).find(([part]) => line.includes(part)) ?? [])[1], message: "there is none" }];
    response.end(JSON.stringify({ success: found !== undefined, errors, messages: [], result: found ?? null }));
  });
  await new Promise((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  account.env = {
    CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${server.address().port}/client/v4`,
    CLOUDFLARE_API_TOKEN: "token",
    CLOUDFLARE_ACCOUNT_ID: "0123456789abcdef0123456789abcdef",
  };
  account.stop = () => server.close();
  return account;
}
