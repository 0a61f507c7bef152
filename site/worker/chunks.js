/**
 * Fetches chunks for the engine: many at a time, again when the server comes back.
 */

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
   */
  constructor(base, sink, report) {
    this.base = base;
    this.sink = sink;
    this.report = report;
    this.requests = 0;
    this.wireBytes = 0;
    this.failures = 0;
    this.retryTimer = 0;
  }

  /** Starts one fetch. With `refetch`, caches on the way are passed by: what one of them holds is not the chunk. */
  fetch(digest, refetch) {
    this.requests += 1;
    const url = new URL(`disk/chunks/${digest}`, this.base);
    const options = { cache: refetch ? 'reload' : 'default', signal: AbortSignal.timeout(TIMEOUT_MS) };
    fetch(url, options).then(
      (response) => this.#answered(digest, response),
      (error) => this.#unreachable(digest, String(error.message ?? error)),
    );
  }

  async #answered(digest, response) {
    if (response.status === 404 || response.status === 410 || response.status === 400) {
      return this.sink.missing(digest, `HTTP ${response.status}`);
    }
    if (!response.ok) {
      return this.#unreachable(digest, `HTTP ${response.status}`);
    }
    let bytes;
    try {
      bytes = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      return this.#unreachable(digest, `the answer broke off: ${error.message ?? error}`);
    }
    // Compressed size where the server tells it, which it does for everything it stores.
    this.wireBytes += Number(response.headers.get('content-length') ?? bytes.length);
    if (this.failures > 0) {
      this.failures = 0;
      this.report({ event: 'recovered' });
    }
    this.sink.arrived(digest, bytes);
  }

  #unreachable(digest, why) {
    this.sink.unreachable(digest, why);
    if (this.retryTimer) return;
    const pause = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
    this.failures += 1;
    this.report({ event: 'trouble', kind: 'unreachable', text: why, retryMs: pause });
    this.retryTimer = setTimeout(() => {
      this.retryTimer = 0;
      this.sink.retry();
    }, pause);
  }
}
