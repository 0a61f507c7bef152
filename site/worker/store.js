/**
 * Objects of disks that this browser has loaded before: chunks, index pages, boot packs, by digest, in IndexedDB.
 *
 * The browser's HTTP cache has them too, perhaps: it shares its room with all sites and promises nothing. Measured in
 * Chromium and Firefox, IndexedDB takes about a millisecond for 128 KiB, as the Cache API and files of their own (OPFS) do.
 * One large file would be ten times faster but belongs to one tab at a time. IndexedDB's transactions let tabs share the
 * objects and keep account of them exactly.
 *
 * Objects are kept as they came: decoded where the browser has decoded them, since decoding again would cost more time
 * than reading the larger object. Nothing here is trusted: the engine compares whatever it gets with its digest, and asks
 * for it anew if it is something else.
 *
 * A browser that lets nothing be stored, as in some private windows, works without. No failure in here reaches a caller.
 */

const DATABASE = 'edgebox-disk';
const VERSION = 1;
/** digest → bytes */
const OBJECTS = 'objects';
/** digest → { bytes, used }: its size, and when it was last used in milliseconds since 1970. Its index is `used`. */
const USES = 'uses';
/** `total` → bytes of all objects */
const ACCOUNT = 'account';

/** Bytes kept unless told otherwise: an image of ordinary size as a whole, of the gigabytes that browsers allow a site. */
export const LIMIT_BYTES = 512 * 1024 * 1024;
/** What is left when there was too much, so that the next object does not have to make room again. */
const KEPT_SHARE = 0.9;
/** Bytes that wait to be written; what arrives beyond that is not kept. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes at which they are written at once. */
const QUEUE_BYTES_ENOUGH = 16 * 1024 * 1024;
/** Otherwise they wait until nothing has arrived for so long, in milliseconds: a boot has better things to do. */
const QUIET_MS = 1000;
/** How long the browser may take to answer before the network is asked instead, in milliseconds. */
const PATIENCE_MS = 2000;

const answered = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const finished = (transaction) => new Promise((resolve, reject) => {
  transaction.oncomplete = resolve;
  transaction.onabort = () => reject(transaction.error ?? new Error('aborted'));
});

/** What `promise` resolves to, or `null` if it fails or takes too long. */
function orNull(promise) {
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(resolve, PATIENCE_MS, null); });
  return Promise.race([promise.catch(() => null), late]).finally(() => clearTimeout(timer));
}

function open() {
  // Some browsers throw where others answer with an error.
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = () => {
      const database = request.result;
      for (const name of database.objectStoreNames) database.deleteObjectStore(name);
      database.createObjectStore(OBJECTS);
      database.createObjectStore(USES).createIndex('used', 'used');
      database.createObjectStore(ACCOUNT);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error('another tab has an older version open'));
  });
}

export class ObjectStore {
  /** @param {number} limitBytes what may be kept; with 0, nothing is, and nothing is looked for */
  constructor(limitBytes = LIMIT_BYTES) {
    this.limitBytes = limitBytes;
    /** Objects to be written, by digest; `null`: only to be noted as used. */
    this.queue = new Map();
    this.queueBytes = 0;
    this.timer = 0;
    /** Objects found. */
    this.hits = 0;
    this.canWrite = limitBytes > 0;
    this.writing = null;
    /** What was there at the beginning, or has been put there since: to look for anything else would take time. */
    this.known = new Set();
    this.database = limitBytes > 0 ? orNull(this.#open()) : Promise.resolve(null);
  }

  async #open() {
    const database = await open();
    // A newer version of this page in another tab wants to change the database.
    database.onversionchange = () => this.#close(database);
    const digests = await answered(database.transaction(OBJECTS).objectStore(OBJECTS).getAllKeys());
    for (const digest of digests) this.known.add(digest);
    return database;
  }

  /** Whether everything has been written. */
  get isIdle() {
    return this.queue.size === 0 && this.writing === null;
  }

  /** @returns {Promise<Uint8Array | null>} the object, unverified */
  async get(digest) {
    const database = await this.database;
    if (!database || !this.known.has(digest)) return null;
    const read = async () => answered(database.transaction(OBJECTS).objectStore(OBJECTS).get(digest));
    const bytes = await orNull(read());
    if (!(bytes instanceof Uint8Array)) return null;
    this.hits += 1;
    if (!this.queue.has(digest)) this.#enqueue(digest, null);
    return bytes;
  }

  /** Keeps an object from now on, in place of what was kept under its name. */
  put(digest, bytes) {
    if (bytes.length > this.limitBytes || this.queueBytes + bytes.length > QUEUE_BYTES_MAX) return;
    this.#enqueue(digest, bytes);
  }

  #enqueue(digest, bytes) {
    if (!this.canWrite) return;
    this.queueBytes += (bytes?.length ?? 0) - (this.queue.get(digest)?.length ?? 0);
    this.queue.set(digest, bytes);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#flush(), this.queueBytes >= QUEUE_BYTES_ENOUGH ? 0 : QUIET_MS);
  }

  async #flush() {
    if (this.writing) return; // Which looks at the queue again when it is done.
    while (this.canWrite && this.queue.size > 0) {
      const batch = this.queue;
      [this.queue, this.queueBytes] = [new Map(), 0];
      this.writing = this.#write(batch);
      await this.writing;
      this.writing = null;
    }
  }

  async #write(batch) {
    const database = await this.database;
    try {
      await this.#record(database, batch, this.limitBytes);
    } catch (error) {
      // The disk is fuller than the limit supposes: half of what is there has to do. If that is no help, that was all.
      const isFull = error?.name === 'QuotaExceededError' && this.limitBytes > 0;
      this.limitBytes = isFull ? Math.floor(await this.#total(database) / 2) : 0;
      this.canWrite = isFull && await this.#record(database, new Map(), this.limitBytes).then(() => true, () => false);
      [this.queue, this.queueBytes] = [new Map(), 0];
    }
  }

  #total(database) {
    const read = async () => answered(database.transaction(ACCOUNT).objectStore(ACCOUNT).get('total'));
    return read().then((total) => total ?? 0, () => 0);
  }

  /** Writes objects, notes uses, and makes room, all in one transaction. */
  async #record(database, batch, limitBytes) {
    const transaction = database.transaction([OBJECTS, USES, ACCOUNT], 'readwrite');
    const done = finished(transaction);
    // Failures of single requests abort the transaction, which is what counts.
    done.catch(() => {});
    const [objects, uses, account] = [OBJECTS, USES, ACCOUNT].map((name) => transaction.objectStore(name));
    const used = Date.now();
    let total = (await answered(account.get('total'))) ?? 0;
    for (const [digest, bytes] of batch) {
      const known = (await answered(uses.get(digest)))?.bytes;
      // Another tab may have made room with it meanwhile.
      if (bytes === null && known === undefined) continue;
      if (bytes) objects.put(bytes, digest);
      const size = bytes?.length ?? known;
      uses.put({ bytes: size, used }, digest);
      total += size - (known ?? 0);
      this.known.add(digest);
    }
    if (total > limitBytes) total = await this.#makeRoom(objects, uses, total, limitBytes * KEPT_SHARE);
    account.put(total, 'total');
    await done;
  }

  /** Drops objects, the least recently used first. */
  async #makeRoom(objects, uses, total, limitBytes) {
    const request = uses.index('used').openCursor();
    for (let cursor = await answered(request); cursor && total > limitBytes; cursor = await answered(request)) {
      total -= cursor.value.bytes;
      objects.delete(cursor.primaryKey);
      uses.delete(cursor.primaryKey);
      cursor.continue();
    }
    return total;
  }

  #close(database) {
    database.close();
    this.canWrite = false;
    this.database = Promise.resolve(null);
  }
}
