/**
 * Code in a simulation must not go around the host's door: a real clock, timer, random number, thread pool, file or
 * socket makes a run that no seed replays. `tidy` reads our sources for it; these guards watch what really runs,
 * libraries included. While events of a simulation happen, a call of what is guarded throws, and says what to use.
 *
 * What is synchronous and a function of its arguments (hashes, ciphers, signatures) is free. So are writes to an open
 * descriptor, since that is how Node prints. A library that took a function apart before the guards were set
 * (`const { randomBytes } = require('crypto')` at its start) is not seen, nor is `node:sqlite`, whose class stays as it
 * is: nothing but `host` may import it (`tidy`).
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';

/** Waits for one turn of the real event loop: the kernel's own, and the only one that is not guarded. */
const { setImmediate: nextTurn } = globalThis;
export function realTurn(): Promise<void> {
  return new Promise((resolve) => nextTurn(resolve));
}

let isInside = false;
let isSet = false;

/** @param on events of a simulation happen now, and it does not wait for the outside (see `Kernel.hold`) */
export function guardOutside(on: boolean): void {
  if (!isSet) setGuards();
  isSet = true;
  isInside = on;
}

type Any = (...values: unknown[]) => unknown;
type Members = Record<string, unknown>;

const require = createRequire(import.meta.url);

/** Module, what to use in its place, and the functions of it that reach outside. */
const MODULES: readonly (readonly [name: string, instead: string, members: string])[] = [
  [
    'fs',
    'host.disk',
    `access accessSync appendFile appendFileSync copyFile copyFileSync cp cpSync createReadStream createWriteStream
     exists existsSync glob globSync mkdir mkdirSync mkdtemp mkdtempSync open openSync opendir opendirSync readFile
     lstat lstatSync readFileSync readdir readdirSync rename renameSync rm rmSync rmdir rmdirSync stat statSync statfs statfsSync
     realpath realpathSync truncate truncateSync unlink unlinkSync watch watchFile writeFile writeFileSync`,
  ],
  [
    'fs/promises',
    'host.disk',
    `access appendFile copyFile cp glob mkdir mkdtemp open opendir readFile readdir rename rm rmdir stat statfs
     truncate unlink watch writeFile`,
  ],
  ['net', 'host.network', 'connect createConnection createServer'],
  ['tls', 'host.network', 'connect createServer'],
  ['dgram', 'host.network', 'createSocket'],
  ['http', 'host.network', 'get request createServer'],
  ['https', 'host.network', 'get request createServer'],
  ['http2', 'host.network', 'connect createServer createSecureServer'],
  ['dns', 'host.network', 'lookup resolve resolve4 resolve6 reverse'],
  ['child_process', 'host.threads', 'exec execFile execFileSync execSync fork spawn spawnSync'],
  ['worker_threads', 'host.threads', 'Worker'],
  [
    'crypto',
    'host.crypto or host.random',
    `randomBytes randomFill randomFillSync randomInt randomUUID pbkdf2 scrypt argon2 hkdf generateKey generateKeySync
     generateKeyPair generateKeyPairSync generatePrime checkPrime`,
  ],
  [
    'zlib',
    'its synchronous functions',
    'gzip gunzip deflate inflate deflateRaw inflateRaw brotliCompress brotliDecompress unzip',
  ],
  ['timers', 'host.clock', 'setTimeout setInterval setImmediate'],
  ['timers/promises', 'host.clock', 'setTimeout setInterval setImmediate'],
];

function setGuards(): void {
  for (const [name, instead, members] of MODULES) {
    const module = require(`node:${name}`) as Members;
    for (const member of members.trim().split(/\s+/)) guard(module, member, `node:${name}`, instead);
  }
  const { crypto, performance, process } = globalThis;
  for (const timer of ['setTimeout', 'setInterval', 'setImmediate'])
    guard(globalThis as unknown as Members, timer, 'the global', 'host.clock');
  guard(globalThis as unknown as Members, 'fetch', 'the global', 'host.network');
  guard(Math as unknown as Members, 'random', 'Math', 'host.random');
  guard(Object.getPrototypeOf(performance) as Members, 'now', 'performance', 'host.clock');
  guard(process.hrtime as unknown as Members, 'bigint', 'process.hrtime', 'host.clock');
  guard(process as unknown as Members, 'hrtime', 'process', 'host.clock');
  for (const member of ['getRandomValues', 'randomUUID'])
    guard(Object.getPrototypeOf(crypto) as Members, member, 'crypto', 'host.random');
  const subtle = Object.getPrototypeOf(crypto.subtle) as Members;
  for (const member of Object.getOwnPropertyNames(subtle))
    if (member !== 'constructor') guard(subtle, member, 'crypto.subtle', 'host.crypto');
  guardDate();
  syncBuiltinESMExports();
}

function refuseInside(what: string, instead: string): void {
  if (isInside) throw new Error(`${what} was called in a simulation: use ${instead}`);
}

function guard(object: Members, member: string, of: string, instead: string): void {
  const original = object[member];
  if (typeof original !== 'function') return; // not in this version of Node
  const guarded = new Proxy(original, {
    apply(target, self, values: unknown[]) {
      refuseInside(`${of} ${member}`, instead);
      return Reflect.apply(target as Any, self, values);
    },
    construct(target, values: unknown[], as) {
      refuseInside(`${of} ${member}`, instead);
      return Reflect.construct(target, values, as) as object;
    },
  });
  Object.defineProperty(object, member, {
    value: guarded,
    writable: true,
    configurable: true,
    enumerable: Object.getOwnPropertyDescriptor(object, member)?.enumerable ?? true,
  });
}

/** A date made of numbers or text is a value; one made of nothing is the clock. */
function guardDate(): void {
  const now = 'host.clock.nowMs()';
  guard(Date as unknown as Members, 'now', 'Date', now);
  globalThis.Date = new Proxy(Date, {
    apply(target, self, values: unknown[]) {
      refuseInside('Date()', now);
      return Reflect.apply(target as unknown as Any, self, values);
    },
    construct(target, values: unknown[], as) {
      if (values.length === 0) refuseInside('new Date()', now);
      return Reflect.construct(target, values, as) as object;
    },
  });
}
