// Servers that tests and measurements start: an nginx with a directory, to compare the Worker with, and others.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A port nobody uses. */
export function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => { socket.destroy(); resolve(true); });
    socket.on("error", () => resolve(false));
  });
}

/** CPU time of a process so far, all its threads together, from the kernel: in steps of 10 ms. */
export function cpuMs(pid) {
  // Names of programs may have spaces and brackets.
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/**
 * Starts a program and waits until it listens.
 * @returns {Promise<{ pid: number, stop(): Promise<void> }>}
 */
export async function startServer(program, args, port) {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise((resolve) => { child.on("exit", resolve); });
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`${program} has ended`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
  const stop = () => {
    child.kill();
    return ended;
  };
  return { pid: child.pid, stop };
}

/**
 * Serves site and Worker as they are built, by wrangler, over what is stored in `persist`.
 * @param {string} persist
 * @param {Record<string, string>} vars more of the Worker's variables; a secret is one to it
 * @param {string[]} options more of wrangler's
 * @returns {Promise<{ url: string, pid: number, stop(): Promise<void> }>}
 */
export async function startWorker(persist, vars = {}, options = []) {
  const port = await freePort();
  const project = join(import.meta.dirname, "..");
  const where = ["--local", "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", String(await freePort())];
  const args = ["dev", ...where, "--persist-to", persist, "--log-level", "error", "--cwd", project, "--show-interactive-dev-session=false", ...options];
  for (const [name, value] of Object.entries(vars)) args.push("--var", `${name}:${value}`);
  const server = await startServer(process.execPath, [join(project, "node_modules/wrangler/bin/wrangler.js"), ...args], port);
  return { ...server, url: `http://localhost:${port}` };
}

/**
 * Serves `root` on the loopback interface.
 * @param {string} root
 * @param {string} directives more of nginx's configuration, for its server
 * @returns {Promise<{ url: string, pid: number, stop(): Promise<void> }>}
 */
export async function startNginx(root, directives = "") {
  const directory = await mkdtemp(join(tmpdir(), "edgebox-nginx-"));
  const port = await freePort();
  const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${directory}/tmp;`);
  await writeFile(join(directory, "nginx.conf"), `
    daemon off; master_process off; pid ${directory}/pid; error_log stderr crit;
    events {}
    http {
      access_log off; sendfile on; default_type application/octet-stream; ${places.join(" ")}
      server { listen 127.0.0.1:${port}; root ${root}; ${directives} }
    }`);
  const server = await startServer("/usr/sbin/nginx", ["-c", join(directory, "nginx.conf"), "-e", "stderr"], port);
  const stop = async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${port}`, pid: server.pid, stop };
}
