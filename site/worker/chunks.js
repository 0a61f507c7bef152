/**
 * Fetches objects of the disk for the engine, chunks and others: out of what this browser has kept, or over the network;
 * many at a time, again when the server comes back.
 */

import { accessHeaders, denial, isDenied } from '../shared/access.js';

/** Pauses before asking an unreachable server again, in milliseconds; the last one repeats. */
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

/** A server that says nothing for this long counts as unreachable. */
const TIMEOUT_MS = 30000;

export class ChunkFetcher {
  /**
   * @param {URL} base where `disk/` is
   * @param {{ arrived(digest: string, bytes: Uint8Array): void, missing(digest: string, why: string): void,
   *   unreachable(digest: string, why: string): void, retry(): void }} sink
   * @param {(event: object) => void} report
   * @param {import('./store.js').ObjectStore} store
   */
  constructor(base, sink, report, store) {
    this.base = base;
    this.sink = sink;
    this.report = report;
    this.store = store;
    /** Answers on their way that the engine has not asked for yet, by digest. */
    this.early = new Map();
    /** Asked over the network, whether or not its cache had them. */
    this.requests = 0;
    this.wireBytes = 0;
    this.failures = 0;
    this.retryTimer = 0;
    /** The token that is sent along, if any. */
    this.access = null;
  }

  /** Goes on with another token. */
  setAccess(token) {
    this.access = token;
    if (this.retryTimer) this.#retry();
  }

  /** Starts fetching what the engine is going to ask for. */
  fetchEarly(digests) {
    for (const digest of digests) if (!this.early.has(digest)) this.early.set(digest, this.#load(digest, false));
  }

  /** Starts one fetch. With `refetch`, caches are passed by: what one of them holds is not the chunk. */
  fetch(digest, refetch) {
    const answer = (!refetch && this.early.get(digest)) || this.#load(digest, refetch);
    this.early.delete(digest);
    answer.then(({ bytes, missing, unreachable, denied }) => {
      if (missing) this.sink.missing(digest, missing);
      else if (denied) this.#wait(digest, 'access', denied);
      else if (unreachable) this.#wait(digest, 'unreachable', unreachable);
      else this.sink.arrived(digest, bytes);
    });
  }

  /** @returns {Promise<{ bytes: Uint8Array } | { missing: string } | { unreachable: string }
   *   | { denied: string }>} */
  async #load(digest, refetch) {
    const kept = refetch ? null : await this.store.get(digest);
    if (kept) return { bytes: kept };
    const answer = await this.#request(digest, refetch);
    if (answer.bytes) this.store.put(digest, answer.bytes);
    return answer;
  }

  async #request(digest, refetch) {
    this.requests += 1;
    const url = new URL(`disk/chunks/${digest}`, this.base);
    let response;
    try {
      response = await fetch(url, {
        cache: refetch ? 'reload' : 'default', headers: accessHeaders(this.access), signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (error) {
      return { unreachable: String(error.message ?? error) };
    }
    if (isDenied(response.status)) return { denied: await denial(response) };
    if ([400, 404, 410].includes(response.status)) return { missing: `HTTP ${response.status}` };
    if (!response.ok) return { unreachable: `HTTP ${response.status}` };
    let bytes;
    try {
      bytes = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      return { unreachable: `the answer broke off: ${error.message ?? error}` };
    }
    // Compressed size where the server tells it, which it does for everything it stores.
    this.wireBytes += Number(response.headers.get('content-length') ?? bytes.length);
    if (this.failures > 0) {
      this.failures = 0;
      this.report({ event: 'recovered' });
    }
    return { bytes };
  }

  /** Notes that an object can't be had now, and that it will be asked for again. */
  #wait(digest, kind, why) {
    this.sink.unreachable(digest, why);
    if (this.retryTimer) return;
    const pause = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
    this.failures += 1;
    this.report({ event: 'trouble', kind, text: why, retryMs: pause });
    this.retryTimer = setTimeout(() => this.#retry(), pause);
  }

  #retry() {
    clearTimeout(this.retryTimer);
    this.retryTimer = 0;
    this.sink.retry();
  }
}
