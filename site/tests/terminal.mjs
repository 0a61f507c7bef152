// The page in a real browser, used as a person does: by keyboard, looking at the screen.
import { chromium } from "playwright-core";

import { FLAGS } from "../../scripts/browser.mjs";

const CHROMIUM = process.env.EDGEBOX_CHROMIUM ?? "/usr/bin/chromium";

/** How long anything may take: the machines that run tests are slow and busy. */
const PATIENCE_MS = 60_000;

export async function openBrowser() {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** A tab with the page in it. */
export class TerminalPage {
  constructor(page) {
    this.page = page;
    this.messages = [];
    page.on("console", (message) => this.messages.push(message.text()));
    page.on("pageerror", (error) => this.messages.push(String(error)));
  }

  /** @param {object} options of the tab's context */
  static async open(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1000, height: 640 }, ...options });
    const terminal = new TerminalPage(await context.newPage());
    await terminal.page.goto(url);
    return terminal;
  }

  /** Closes the tab and its context, once nothing is under way any more in handlers of its requests. */
  async close() {
    const context = this.page.context();
    await context.unrouteAll({ behavior: "wait" });
    await context.close();
  }

  /** What the screen shows and has shown, wrapped lines joined, trailing blanks gone. */
  text() {
    return this.page.evaluate(() => {
      const buffer = globalThis.terminal?.buffer?.active;
      if (!buffer) return "";
      let text = "";
      for (let y = 0; y < buffer.length; y += 1) {
        const line = buffer.getLine(y);
        const next = buffer.getLine(y + 1);
        text += line.translateToString(!next?.isWrapped) + (next?.isWrapped ? "" : "\n");
      }
      return text.trimEnd();
    });
  }

  /** Waits until the text after `from` matches; returns that text. */
  async waitFor(pattern, from = 0, patience = PATIENCE_MS) {
    const end = Date.now() + patience;
    for (;;) {
      const text = (await this.text()).slice(from);
      if (pattern.test(text)) return text;
      if (Date.now() > end) {
        const status = await this.page.textContent("#status");
        throw new Error(`no ${pattern} on screen, status "${status}", messages ${this.messages}:\n${text}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Waits for a prompt at the end of the screen. */
  async waitForPrompt(from = 0) {
    return this.waitFor(/\w+@edgebox:[^\n]*[$#]$/, from);
  }

  /**
   * What has come over the network since this page was opened, by the browser's own account: what came out of its HTTP cache
   * is not counted, what was asked for and had not changed is.
   * @returns {Promise<{ requests: number, bytes: number, diskRequests: number, diskBytes: number }>} of all, and of the disk
   */
  traffic() {
    return this.page.evaluate(async () => {
      const worker = await globalThis.box.stats();
      const page = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"));
      const loaded = page.filter(({ transferSize }) => transferSize > 0);
      const ofDisk = loaded.filter(({ name }) => name.includes("/disk/"));
      const bytes = (entries) => entries.reduce((sum, { transferSize }) => sum + transferSize, 0);
      return {
        requests: loaded.length + worker.networkRequests, bytes: bytes(loaded) + worker.networkBytes,
        diskRequests: ofDisk.length + worker.diskRequests, diskBytes: bytes(ofDisk) + worker.diskBytes,
      };
    });
  }

  /** Waits until this browser has kept for the next time what was loaded of the disk. */
  async waitUntilKept() {
    await this.page.evaluate(async () => {
      while (!(await globalThis.box.stats()).isKept) await new Promise((resolve) => { setTimeout(resolve, 50); });
    });
  }

  /** Empties the browser's HTTP cache, and nothing else. */
  async emptyHttpCache() {
    const session = await this.page.context().newCDPSession(this.page);
    await session.send("Network.clearBrowserCache");
    await session.detach();
  }

  async length() {
    return (await this.text()).length;
  }

  async type(text) {
    await this.page.keyboard.type(text);
  }

  async press(...keys) {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  /** Waits until a `cat` that was just started copies what is typed. */
  async waitUntilRunning(from) {
    await this.waitFor(/cat$/, from);
    await this.page.waitForTimeout(500);
    await this.type("running");
    await this.press("Enter");
    await this.waitFor(/running\nrunning$/, from);
  }

  /** Types a command and Enter, waits for the next prompt, returns what was printed in between. */
  async run(command) {
    const from = await this.length();
    await this.page.keyboard.insertText(command);
    await this.press("Enter");
    const text = await this.waitFor(/\n[^\n]*\w+@edgebox:[^\n]*[$#]$/, from);
    return text.split("\n").slice(1, -1).join("\n");
  }
}
