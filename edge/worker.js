// The Worker's entry points: they start the Rust module and hand requests to it. Everything else is in src/.
//
// The platform's cache, where it is enabled (wrangler.toml), takes `Range` away from requests before they get here, and
// images are answered by ranges. So it is in front of `Cached` only, which answers what has no ranges.
import { WorkerEntrypoint } from "cloudflare:workers";
import module from "./edge_bg.wasm";
import { answer, initSync, chosen_encoding } from "./edge.js";

initSync({ module });

/** What the platform's cache may keep: chunks and manifests. */
export class Cached extends WorkerEntrypoint {
  fetch(request) {
    return answer(request, this.env);
  }
}

/** The same request, with an `Accept-Encoding` that names what it will get: the cache keeps one answer for each. */
function normalised(request) {
  const same = new Request(request);
  same.headers.set("accept-encoding", chosen_encoding(request));
  return same;
}

export default {
  fetch(request, env, context) {
    // What is private is nobody else's: it never gets there.
    const isPublic = env.ACCESS_KEY === undefined && (env.ACCESS ?? "everybody") === "everybody";
    const isCached = env.CACHE === "on" && isPublic && !new URL(request.url).pathname.startsWith("/disk/images/");
    return isCached ? context.exports.Cached.fetch(normalised(request)) : answer(request, env);
  },
};
