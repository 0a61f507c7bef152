// Firefox, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/): Debian's own, which playwright's protocol
// does not know and puppeteer would take eighty packages to.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import WebSocket from "ws";

const FIREFOX = process.env.EDGEBOX_FIREFOX ?? "/usr/bin/firefox-esr";

/** Starts it; resolves to the process and the address it listens on. */
async function launch(profile) {
  const flags = ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank"];
  const firefox = spawn(FIREFOX, flags, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  for await (const piece of firefox.stderr) {
    said += piece;
    const address = /WebDriver BiDi listening on (ws:\S+)/.exec(said)?.[1];
    if (address) {
      // Nobody reads what it says from here on.
      firefox.stderr.resume();
      return { firefox, address };
    }
  }
  throw new Error(`${FIREFOX} ended: ${said}`);
}

/** A headless Firefox with one page. */
export class Firefox {
  static async open(url) {
    const self = new Firefox();
    self.profile = await mkdtemp(join(tmpdir(), "edgebox-firefox-"));
    const { firefox, address } = await launch(self.profile);
    self.process = firefox;
    self.socket = new WebSocket(`${address}/session`);
    self.waiting = new Map();
    self.socket.on("message", (text) => self.#answer(JSON.parse(text)));
    await once(self.socket, "open");
    await self.#command("session.new", { capabilities: {} });
    const { contexts: [{ context }] } = await self.#command("browsingContext.getTree", {});
    self.context = context;
    await self.#command("browsingContext.navigate", { context, url, wait: "complete" });
    return self;
  }

  #answer({ id, result, message }) {
    const answered = this.waiting.get(id);
    this.waiting.delete(id);
    if (result) answered?.resolve(result);
    else answered?.reject(new Error(message));
  }

  #command(method, params) {
    const id = (this.lastId = (this.lastId ?? 0) + 1);
    this.socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  /** Calls a function in the page with an argument that JSON can carry; resolves to what it (or its promise) gives. */
  async evaluate(body, argument) {
    const { exceptionDetails, result } = await this.#command("script.callFunction", {
      functionDeclaration: `async (text) => JSON.stringify(await (${body})(JSON.parse(text)))`,
      arguments: [{ type: "string", value: JSON.stringify(argument ?? null) }],
      target: { context: this.context },
      awaitPromise: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.text);
    return JSON.parse(result.value ?? "null");
  }

  async close() {
    this.socket.terminate();
    this.process.kill();
    await once(this.process, "exit");
    await rm(this.profile, { recursive: true, force: true });
  }
}
