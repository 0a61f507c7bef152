// Requests to the Worker that has the bucket (bucket-worker.mjs), patiently.

/** A request that fails is made again after each of these: connections break, and R2 asks for patience at times. */
export const PAUSES_MS = [200, 1000, 5000];
/** How long an answer may take: the largest objects have 4 MB, many are under way at a time, and lines may be slow. */
const TIMEOUT_MS = 300_000;

const pauseFor = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Whether asking again may help: errors of the server's, and its being busy, pass; what it refuses it will refuse again. */
const isPassing = (status) => status >= 500 || status === 429;

/**
 * Makes requests of the Worker at `url`, which knows `token`. Each may be made more than once: all of them may.
 * @returns {(path: string, options?: RequestInit) => Promise<{ isThere: boolean, body: Buffer }>} `isThere`: it was not 404
 */
export function client(url, token, { pause = pauseFor, timeoutMs = TIMEOUT_MS } = {}) {
  async function once(path, options) {
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(new URL(path, url), { ...options, headers: { authorization: token }, signal });
    // Read here, since that can fail as well.
    const body = Buffer.from(await response.arrayBuffer());
    if (response.ok || response.status === 404) return { isThere: response.ok, body };
    throw Object.assign(new Error(body.toString() || `status ${response.status}`), { isFinal: !isPassing(response.status) });
  }
  return async (path, options) => {
    for (const pauseMs of PAUSES_MS) {
      try {
        return await once(path, options);
      } catch (error) {
        if (error.isFinal) throw error;
        await pause(pauseMs);
      }
    }
    return once(path, options);
  };
}
