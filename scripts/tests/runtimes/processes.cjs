// Child processes and signals.
const { exec, execFile, execSync, fork, spawn, spawnSync } = require("child_process");
const net = require("net");
const { once } = require("events");

function child() {
  process.on("message", (message, handle) => {
    if (handle) handle.end(`from the child: ${message.text}`);
    else if (message.quit) process.disconnect();
    else process.send({ length: message.text.length, map: message.map });
  });
  process.send("ready");
}

async function simple() {
  const cat = spawn("sh", ["-c", "cat; echo error >&2; exit 3"]);
  let output = "";
  cat.stdout.on("data", (data) => (output += data));
  cat.stderr.on("data", (data) => (output += data));
  cat.stdin.end("input ");
  console.log(await once(cat, "close"), output);
  await new Promise((resolve) => exec("echo $WORD", { env: { WORD: "word" } }, (...result) => resolve(console.log(result))));
  await new Promise((resolve) => exec("sleep 100", { timeout: 100, killSignal: "SIGKILL" }, ({ killed, signal }) => {
    resolve(console.log(killed, signal));
  }));
  await new Promise((resolve) => execFile("/nope", ({ code, syscall }) => resolve(console.log(code, syscall))));
  console.log(execSync("tr a-z A-Z", { input: "abc" }).toString(), spawnSync("sh", ["-c", "kill -9 $$"]).signal);
  const many = Array.from({ length: 6 }, async (_, i) => (await once(spawn("sh", ["-c", `exit ${i}`]), "close"))[0]);
  console.log(await Promise.all(many));
  const group = spawn("sleep", ["100"], { detached: true, stdio: "ignore" });
  await once(group, "spawn");
  process.kill(-group.pid);
  console.log(await once(group, "exit"));
}

async function forked() {
  const other = fork(__filename, ["child"], { serialization: "advanced" });
  console.log(await once(other, "message"));
  other.send({ text: "x".repeat(300000), map: new Map([[1, [2n]]]) });
  console.log((await once(other, "message"))[0]);
  const server = net.createServer({ pauseOnConnect: true }, (socket) => other.send({ text: "a socket" }, socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  console.log(String(await once(net.connect(server.address().port, "127.0.0.1"), "data")));
  server.close();
  other.send({ quit: true });
  console.log(await once(other, "exit"));
}

async function signals() {
  for (const signal of ["SIGUSR2", "SIGINT", "SIGHUP"]) {
    const came = once(process, signal);
    process.kill(process.pid, signal);
    console.log(await came);
  }
  process.on("exit", (code) => console.log("exit", code));
  process.exitCode = 4;
}

if (process.argv[2] === "child") child();
else simple().then(forked).then(signals);
