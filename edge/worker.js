// The Worker's entry points: they start the Rust module and hand requests to it. Everything else is in src/.
//
// The platform's cache, where it is enabled (wrangler.toml), takes `Range` away from requests before they get here, and
// images are answered by ranges. So it is in front of `Cached` only, which answers what has no ranges.
import { WorkerEntrypoint } from "cloudflare:workers";
import module from "./edge_bg.wasm";
import { fetch as answer, initSync, normalised_encoding } from "./edge.js";

initSync({ module });

/** What the platform's cache may keep: chunks and manifests. */
export class Cached extends WorkerEntrypoint {
  fetch(request) {
    return answer(request, this.env, this.ctx);
  }
}

export default {
  fetch(request, env, context) {
    // In front of this Worker the platform decodes for whoever doesn't know brotli, and says what they do know here.
    const encodings = request.cf?.clientAcceptEncoding ?? request.headers.get("accept-encoding") ?? undefined;
    const forwarded = new Request(request);
    forwarded.headers.set("accept-encoding", normalised_encoding(encodings));
    const isCached = env.CACHE === "on" && !new URL(request.url).pathname.startsWith("/disk/images/");
    return isCached ? context.exports.Cached.fetch(forwarded) : answer(forwarded, env, context);
  },
};
