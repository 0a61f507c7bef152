// What tests over HTTP share: one request, seen as it comes over the wire.
import http from "node:http";

/**
 * One request; the body as it came, undecoded.
 * @param {string} url
 * @param {{ method?: string, headers?: object, limit?: number }} options `limit`: bytes of the body after which the
 *   connection is given up
 * @returns {Promise<{ status: number, headers: object, body: Buffer, broken: boolean }>} `broken`: the body did not come
 *   to its end
 */
export function request(url, { method = "GET", headers = {}, limit = Infinity } = {}) {
  return new Promise((resolve, reject) => {
    const sent = http.request(url, { method, headers, agent: false }, (response) => {
      const parts = [];
      let length = 0;
      const finish = () => resolve({
        status: response.statusCode, headers: response.headers, body: Buffer.concat(parts), broken: !response.complete,
      });
      response.on("data", (part) => {
        parts.push(part);
        length += part.length;
        if (length >= limit) sent.destroy();
      });
      // Broken off, it is closed without an end.
      response.on("error", () => {});
      response.on("close", finish);
    });
    sent.on("error", (error) => error.code === "ECONNRESET" && sent.destroyed ? undefined : reject(error));
    sent.end();
  });
}
