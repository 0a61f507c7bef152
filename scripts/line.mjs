// A line to a server on this machine that is as slow as lines to servers are.
import net from "node:net";

/** Bytes of a connection under way at which nothing more is taken from the server: more than any line here holds. */
const UNDER_WAY_MAX = 1 << 20;

/** Hands on what comes, in order and not before it could have come: `arrival(bytes)` says when that is, by `performance.now()`. */
function carry(from, to, arrival) {
  let underWay = 0;
  let last = Promise.resolve();
  const later = (bytes, action) => {
    const at = arrival(bytes);
    const due = new Promise((resolve) => { setTimeout(resolve, at - performance.now()); });
    last = last.then(() => due).then(() => { if (!to.destroyed) action(); });
  };
  from.on("data", (data) => {
    underWay += data.length;
    if (underWay > UNDER_WAY_MAX) from.pause();
    later(data.length, () => {
      to.write(data);
      underWay -= data.length;
      if (underWay <= UNDER_WAY_MAX) from.resume();
    });
  });
  from.on("end", () => later(0, () => to.end()));
  from.on("error", () => to.destroy());
  from.on("close", () => later(0, () => to.destroySoon()));
}

/**
 * Opens one: a TCP proxy. A connection takes a round trip before anything can be sent. What servers send on all of them
 * together has the rate of the line; what clients send, which is little, does not count.
 * @param {string} url of a server on this machine
 * @param {{ roundTripMs: number, bytesPerS: number }} line
 * @returns {Promise<{ url: string, stop(): void }>}
 */
export async function openLine(url, { roundTripMs, bytesPerS }) {
  const target = new URL(url);
  /** When the line has sent all that it was given. */
  let free = 0;
  const up = () => performance.now() + roundTripMs / 2;
  const down = (bytes) => {
    free = Math.max(free, performance.now()) + bytes / bytesPerS * 1000;
    return free + roundTripMs / 2;
  };
  const server = net.createServer({ pauseOnConnect: true }, (client) => {
    setTimeout(() => {
      const upstream = net.connect(Number(target.port), target.hostname);
      carry(client, upstream, up);
      carry(upstream, client, down);
      client.resume();
    }, roundTripMs);
  });
  await new Promise((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  // The same name: only `localhost` and numbers are secure contexts.
  return { url: `http://localhost:${server.address().port}`, stop: () => server.close() };
}
