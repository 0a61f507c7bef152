// Runs `edgebox vm` for tests.
import { spawn } from "node:child_process";

export const tool = process.env.EDGEBOX_TOOL;

/** Options for a program in Chromium, as root in an image's /tmp. */
export const inChromium = (image) => ["--host", "chromium", "--image", image, "--user", "root", "--cwd", "/tmp"];

/** Runs `edgebox vm OPTIONS -- COMMAND`. */
export function vm(options, command, { stdin = "", signal, whenSeen, readsOnce } = {}) {
  return new Promise((resolve) => {
    const child = spawn(tool, ["vm", ...options, "--", ...command]);
    const output = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"]) {
      child[stream].setEncoding("utf8").on("data", (text) => {
        output[stream] += text;
        if (readsOnce) child.stdout.destroy();
        if (signal && output.stdout.includes(whenSeen)) child.kill(signal);
      });
    }
    child.stdin.end(stdin);
    child.on("close", (status) => resolve({ status, ...output }));
  });
}
