// What programs that drive a headless Chromium share: its flags, and a server for it.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css",
  ".json": "application/json", ".wasm": "application/wasm",
};
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "cross-origin",
};
/** More flags come from the environment, separated by `|`: for profilers. */
export const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
  ...(process.env.CHROMIUM_FLAGS?.split("|") ?? []),
];

/** The file that a path of a URL stands for, and headers of its own. */
function locate(path, { site, disk, files }) {
  const chunk = /^\/disk\/chunks\/(([0-9a-f]{2})[0-9a-f]{62})$/.exec(path);
  if (chunk) {
    const headers = { "Content-Encoding": "br", "Content-Type": "application/octet-stream" };
    return { file: join(disk, "chunks", chunk[2], chunk[1]), headers };
  }
  if (path.startsWith("/disk/")) {
    return { file: join(disk, path.slice("/disk/".length)), headers: { "Content-Type": "application/json" } };
  }
  const file = files && path.startsWith("/files/")
    ? join(files, path.slice("/files/".length))
    : join(site, path === "/" ? "index.html" : path);
  return { file, headers: { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" } };
}

/**
 * Serves the directories `site` and `disk` as the Worker would, minus the storage, and `files`, if given, at `/files/`.
 * @returns {Promise<import("node:http").Server>}
 */
export function serve(directories) {
  const server = createServer(async (incoming, outgoing) => {
    const path = normalize(decodeURIComponent(new URL(incoming.url, "http://host").pathname));
    const { file, headers } = locate(path, directories);
    try {
      const { size } = await stat(file);
      outgoing.writeHead(200, { ...ISOLATION, ...headers, "Content-Length": size });
      createReadStream(file).pipe(outgoing);
    } catch {
      outgoing.writeHead(404, ISOLATION).end();
    }
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}
