// What a request costs the Worker in CPU time: the same module in Node.js, whose JavaScript engine is workerd's, with a
// bucket that is a table. Workers are billed for this time, and not for that of the network and the storage.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** R2, as far as the Worker uses it. The names of classes are what the Worker tells bindings by. */
class R2Bucket {
  constructor(objects) { this.objects = objects; }
  async head(key) { return this.#find(key); }
  async get(key) {
    const found = this.#find(key);
    return found && { ...found, bodyUsed: false, body: new Blob([this.objects.get(key)]).stream() };
  }
  #find(key) {
    const bytes = this.objects.get(key);
    return bytes ? { key, size: bytes.length, uploaded: new Date(0), httpEtag: '"x"' } : null;
  }
}

/** workerd has it, Node.js does not: a stream that hands on what it is given, one piece at a time. */
globalThis.FixedLengthStream ??= class extends TransformStream {
  constructor() { super(); }
};

/**
 * The Worker as a function that makes `count` requests, one after the other, and returns the CPU time of one in
 * milliseconds. It includes making the request and reading the answer, which in Node.js is JavaScript: an upper bound.
 * @param {string} edge directory of the built Worker
 * @param {Map<string, Buffer>} objects the bucket
 * @returns {Promise<(path: (at: number) => string, headers: (at: number) => object, count: number) => Promise<number>>}
 */
export async function callsOfWorker(edge, objects) {
  const worker = await import(pathToFileURL(join(edge, "edge.js")));
  worker.initSync({ module: new WebAssembly.Module(await readFile(join(edge, "edge_bg.wasm"))) });
  const env = { DISK: new R2Bucket(objects), CORS_ORIGINS: "*" };
  return async (path, headers, count) => {
    const before = process.cpuUsage();
    for (let at = 0; at < count; at += 1) {
      const request = new Request(`https://edgebox.example${path(at)}`, { headers: headers(at) });
      const response = await worker.answer(request, env);
      if (response.status >= 400) throw new Error(`${path(at)}: ${response.status} ${await response.text()}`);
      await response.arrayBuffer();
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / count;
  };
}
