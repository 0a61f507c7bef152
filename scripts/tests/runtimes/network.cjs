// Servers and clients: in one process, in two, over every kind of socket.
const dgram = require("dgram");
const fs = require("fs");
const http = require("http");
const net = require("net");
const { fork } = require("child_process");
const { once } = require("events");

function serve() {
  const server = http.createServer(async (request, response) => {
    let length = 0;
    for await (const data of request) length += data.length;
    if (request.url === "/large") response.end(Buffer.alloc(3_000_000, "x"));
    else response.end(`${request.method} ${request.url} ${length}`);
  });
  server.listen(0, "127.0.0.1", () => process.send(server.address().port));
  process.on("message", () => process.exit());
}

async function get(port, path, { body, ...options } = {}) {
  const request = http.request({ host: "127.0.0.1", port, path, ...options }).end(body);
  const [response] = await once(request, "response");
  const chunks = await response.toArray();
  const text = Buffer.concat(chunks).toString();
  return [response.statusCode, text.length, text.slice(0, 20)];
}

async function twoProcesses() {
  const other = fork(__filename, ["server"]);
  const [port] = await once(other, "message");
  console.log(await get(port, "/", { method: "POST", body: "q".repeat(500_000) }), await get(port, "/large"));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 10 });
  const many = await Promise.all(Array.from({ length: 100 }, (_, i) => get(port, `/${i}`, { agent })));
  console.log(many.length, many[99]);
  agent.destroy();
  const response = await fetch(`http://127.0.0.1:${port}/fetched`, { method: "PUT", body: "12345" });
  console.log(response.status, await response.text());
  other.send("quit");
  console.log(await once(other, "exit"));
}

async function echoed(...address) {
  const server = net.createServer((socket) => socket.pipe(socket)).listen(...address);
  await once(server, "listening");
  const at = server.address();
  const client = typeof at === "string" ? net.connect(at) : net.connect(at.port, at.address);
  client.end("echo");
  console.log(Buffer.concat(await client.toArray()).toString(), at.family ?? at);
  server.close();
}

async function sockets() {
  await echoed(0, "127.0.0.1");
  await echoed(0, "::1");
  const directory = fs.mkdtempSync("/tmp/network-");
  process.chdir(directory);
  await echoed("socket");
  const [receiver, sender] = [dgram.createSocket("udp4"), dgram.createSocket("udp4")];
  receiver.bind(0, "127.0.0.1");
  await once(receiver, "listening");
  sender.send("datagram", receiver.address().port, "127.0.0.1");
  const [message, { address }] = await once(receiver, "message");
  console.log(String(message), address);
  receiver.close();
  sender.close();
  const [{ code, syscall }] = await once(net.connect(1, "127.0.0.1"), "error");
  console.log(code, syscall);
  fs.rmSync(directory, { recursive: true });
  process.exit();
}

if (process.argv[2] === "server") serve();
else twoProcesses().then(sockets);
