// Requests and responses, handed over in few pieces: every call between JavaScript and WebAssembly costs, and so does
// every string. And the platform's own decoder, which is twice as fast as one in WebAssembly.
import { brotliDecompressSync } from "node:zlib";

/** A request's method and its URL's path, separated by a space. */
export function describe({ method, url }) {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  const query = url.indexOf("?", start);
  return `${method} ${query < 0 ? url.slice(start) : url.slice(start, query)}`;
}

/**
 * A request's header, if it has it.
 *
 * The platform in front of the Worker decodes for whoever doesn't know brotli and lets everybody accept it; what the client
 * has really sent is among its own properties.
 */
export function header(request, name) {
  const own = name === "accept-encoding" ? request.cf?.clientAcceptEncoding : undefined;
  return own ?? request.headers.get(name) ?? undefined;
}

/**
 * A response whose headers are lines `name:value`.
 * @param {number} status
 * @param {string} lines
 * @param {ReadableStream | Uint8Array | null} body
 * @param {boolean} isEncoded whether the body is compressed already: the runtime must not do it once more
 */
export function respond(status, lines, body, isEncoded) {
  // An object, which the runtime takes over faster than a list of pairs.
  const headers = {};
  for (const line of lines.split("\n")) {
    const colon = line.indexOf(":");
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1)];
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  return new Response(body, { status, headers, encodeBody: isEncoded ? "manual" : "automatic" });
}

/**
 * Decodes brotli.
 * @param {ArrayBuffer} bytes
 * @param {number} limit bytes that may come of it
 * @returns {Uint8Array | boolean} what came of it; if nothing did, whether it would have been too much
 */
export function decode(bytes, limit) {
  try {
    // Close to its own limit, workerd takes some lengths for too much, so it gets twice ours.
    const decoded = brotliDecompressSync(bytes, { maxOutputLength: 2 * limit });
    return decoded.length <= limit ? decoded : true;
  } catch (error) {
    return error instanceof RangeError;
  }
}
