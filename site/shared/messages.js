/**
 * What page and VM worker say to each other.
 *
 * The page sends calls, each answered once by a reply with the same `id`; the worker also sends events of its own
 * accord. Bytes travel as `Uint8Array`.
 *
 * @typedef {{ id: number, method: string, args: any[] }} Call
 * @typedef {{ id: number, result?: any, error?: string }} Reply
 * @typedef {{ event: string, [detail: string]: any }} Event
 *
 * Methods:
 * - `load({ manifest, base, cacheBytes, access })`: takes the manifest, starts loading boot packs; before `start`
 * - `start({ module, engine, columns, rows })` → `{ command: string[] }`: makes the machine, of the compiled engine
 * - `boot()` → process id: runs the image's own command on the console
 * - `spawn({ argv, env, cwd, user, tty })` → process id
 * - `write(bytes)`, `resize(columns, rows)`: the console's keyboard and size
 * - `shown(count)`: so many bytes of console output are on the screen; programs that write faster than that wait
 * - `input(pid, bytes)`, `closeInput(pid)`, `signal(pid, number)`: a spawned process
 * - `putFile(path, bytes, mode)`, `getFile(path)` → bytes
 * - `access(token)`: goes on with another token
 * - `stats()` → {@link Stats}
 *
 * Events:
 * - `console { bytes }`: output of the console
 * - `output { pid, stream, bytes }`: of a spawned process; stream 1 or 2
 * - `exit { pid, status, signal }`: it ended with an exit status, or by a signal
 * - `progress { stage, requests, bytes, waiting }`: what has been loaded; stages are {@link Stage}
 * - `trouble { kind, text }`: `unreachable`, `access` (the machine waits), `disk` (a part of the disk
 *   is lost: programs get I/O errors), `broken` (it can't go on)
 * - `recovered`: the server answers again
 * - `log { line }`: a message of the kernel layer
 * - `halted`: every process has ended
 *
 * @typedef {'engine' | 'manifest' | 'disk'} Stage
 *
 * Of the disk's objects, `requests` were asked for over the network, and `kept` were found in this browser's store, which
 * has all that is worth keeping if `isKept`. What the browser says of everything the worker has loaded over the network,
 * its own code included but not what came out of the HTTP cache, is in `networkRequests` and `networkBytes`; `diskRequests`
 * and `diskBytes` are the disk's part of that. (Engine and manifest are loaded by the page.)
 *
 * @typedef {{ requests: number, wireBytes: number, kept: number, isKept: boolean, networkRequests: number,
 *   networkBytes: number, diskRequests: number, diskBytes: number, chunks: number, chunkBytes: number, refetches: number,
 *   packsLost: number, waiting: number, overlayBytes: number, instructions: number, runMs: number,
 *   engineBytes: number }} Stats
 */

/** Signals that callers name, by number on x86 Linux. */
export const SIGNALS = { HUP: 1, INT: 2, QUIT: 3, KILL: 9, TERM: 15 };
