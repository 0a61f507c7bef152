// Threads, shared memory, and WebAssembly, whose memories reserve more than a machine has.
const { Worker, MessageChannel, isMainThread, parentPort, workerData } = require("worker_threads");
const { once } = require("events");

const roles = {
  wait: ({ words }) => parentPort.postMessage(Atomics.wait(words, 0, 0)),
  count: ({ words }) => {
    for (let i = 0; i < 50000; i++) Atomics.add(words, 1, 1);
  },
  echo: ({ port }) => port.on("message", (message) => (message === "end" ? port.close() : port.postMessage({ message }))),
  throw: () => {
    throw new Error("thrown");
  },
  spin: () => {
    parentPort.postMessage("spinning");
    for (;;);
  },
};

function thread(role, data = {}, transferList = []) {
  return new Worker(__filename, { workerData: { role, ...data }, transferList });
}

async function threads() {
  const words = new Int32Array(new SharedArrayBuffer(64));
  const waiting = thread("wait", { words });
  const woken = once(waiting, "message");
  while (Atomics.notify(words, 0) === 0) await new Promise(setImmediate);
  console.log(await woken, await once(waiting, "exit"));
  await Promise.all(Array.from({ length: 4 }, () => once(thread("count", { words }), "exit")));
  console.log(words[1]);
  const { port1, port2 } = new MessageChannel();
  const echo = thread("echo", { port: port2 }, [port2]);
  for (const message of [new Uint8Array([1, 2, 3]), { big: 123n }]) {
    port1.postMessage(message);
    console.log((await once(port1, "message"))[0]);
  }
  port1.postMessage("end");
  console.log(await once(echo, "exit"));
  console.log((await once(thread("throw"), "error"))[0].message);
  const spinning = thread("spin");
  await once(spinning, "message");
  console.log(await spinning.terminate());
}

// What follows is (memory (export "m") 1 100) and
// (func (export "sum") (param i32) (result i32)): the sum of so many words from address 0 on, each doubled there.
const sections = [
  [1, 1, 0x60, 1, 0x7f, 1, 0x7f],
  [3, 1, 0],
  [5, 1, 1, 1, 100],
  [7, 2, 1, 109, 2, 0, 3, 115, 117, 109, 0, 0],
  [10, 1, 47, 1, 2, 0x7f, 3, 0x40, 32, 1, 32, 2, 40, 2, 0, 106, 33, 1, 32, 2, 32, 2, 40, 2, 0, 65, 1, 116, 54, 2, 0]
    .concat([32, 2, 65, 4, 106, 34, 2, 32, 0, 65, 2, 116, 73, 13, 0, 11, 32, 1, 11]),
];

function assembled() {
  let bytes = [0, 97, 115, 109, 1, 0, 0, 0];
  for (const [id, ...body] of sections) bytes = bytes.concat(id, body.length, body);
  return new Uint8Array(bytes);
}

async function webAssembly() {
  const bytes = assembled();
  const instances = await Promise.all(Array.from({ length: 3 }, async () => (await WebAssembly.instantiate(bytes)).instance.exports));
  for (const [index, { m, sum }] of instances.entries()) {
    new Uint32Array(m.buffer).fill(index + 1);
    console.log(sum(16384), m.grow(index + 1), m.buffer.byteLength, new Uint32Array(m.buffer)[16383]);
    console.log(sum(10), sum(32768));
    try {
      sum(1 << 20);
    } catch (error) {
      console.log(error.name, error.message);
    }
  }
}

if (isMainThread) threads().then(webAssembly);
else roles[workerData.role](workerData);
