// What V8 compiles again and again as it learns, and what it leaves to libraries.
const crypto = require("crypto");
const vm = require("vm");

// Objects of several shapes, each with methods of its own: calls are compiled for the shapes seen so far.
class Shape {
  constructor(size) {
    this.size = size;
  }
}
class Square extends Shape {
  area() {
    return this.size * this.size;
  }
}
class Circle extends Shape {
  area() {
    return 3 * this.size * this.size;
  }
}
class Segment extends Circle {
  area() {
    return super.area() >> 1;
  }
}

function shapes() {
  const all = [];
  let total = 0;
  for (let i = 0; i < 300000; i++) {
    const kind = [Square, Circle, Segment][i < 100000 ? 0 : i % (i < 200000 ? 2 : 3)];
    all[i % 1000] = new kind(i % 100);
    total = (total + all[(i * 7) % Math.min(i + 1, 1000)].area()) | 0;
  }
  return total;
}

function numbers() {
  let [sum, mixed] = [0, 0];
  for (let i = 1; i < 200000; i++) {
    sum += Math.sqrt(i) / (i % 7 || 0.5);
    mixed += i === 150000 ? "1" : i & 3;
    if (typeof mixed === "string" && mixed.length > 100) mixed = 0;
  }
  return [sum, mixed];
}

function collections() {
  const [map, set] = [new Map(), new Set()];
  for (let i = 0; i < 50000; i++) {
    map.set(`key ${i % 5000}`, (map.get(`key ${i % 5000}`) ?? 0) + i);
    set.add(i % 777);
  }
  const sorted = [...map.entries()].sort(([, a], [, b]) => b - a || 0);
  return [sorted[0], set.size, JSON.stringify(JSON.parse(JSON.stringify(sorted))).length];
}

function* fibonacci() {
  for (let [a, b] = [0n, 1n]; ; [a, b] = [b, a + b]) yield a;
}

function errors() {
  const names = [];
  const nested = (depth) => nested(depth + 1);
  for (const attempt of [() => nested(0), () => null.x, () => new Array(-1), () => vm.runInNewContext("for (;;);", {}, { timeout: 50 })]) {
    try {
      attempt();
    } catch (error) {
      names.push(error.name, error.code);
    }
  }
  return names;
}

function hashes() {
  const [key, iv] = [Buffer.alloc(32, 1), Buffer.alloc(16, 2)];
  const encrypted = (name, bytes) => {
    const cipher = crypto.createCipheriv(name, key, iv.subarray(0, bytes), { authTagLength: 16 });
    return cipher.update("y".repeat(10000), "utf8", "hex") + cipher.final("hex");
  };
  const texts = ["md5", "sha1", "sha256", "sha512", "sha3-256", "blake2b512"].map((name) => {
    return crypto.createHash(name).update("x".repeat(100000)).digest("hex");
  });
  texts.push(encrypted("aes-256-cbc", 16), encrypted("aes-256-gcm", 12), encrypted("chacha20-poly1305", 12));
  texts.push(crypto.pbkdf2Sync("p", "s", 1000, 32, "sha256").toString("hex"));
  texts.push(crypto.scryptSync("p", "s", 32, { N: 1024 }).toString("hex"));
  const { publicKey, privateKey } = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signature = crypto.sign("sha256", Buffer.from("message"), privateKey);
  texts.push(crypto.verify("sha256", Buffer.from("message"), publicKey, signature));
  return crypto.createHash("sha256").update(texts.join()).digest("hex");
}

console.log(shapes(), numbers(), collections());
let count = 0;
for (const number of fibonacci()) if (++count === 500) break;
console.log(count, /(?<year>\d{4})-(?<month>\d\d)/u.exec("on 2026-11-27").groups.month, [..."añ😀"].length);
console.log(errors(), hashes());
console.log(new Intl.DateTimeFormat("de-DE", { dateStyle: "full", timeZone: "Europe/Berlin" }).format(0));
