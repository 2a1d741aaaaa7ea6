/**
 * The locks of SQLite's files (sqlite.org/lockingv3.html) and of the shared memory of its write-ahead log
 * (walformat.html, 2.3), between the connections of one instance. Nobody waits: a lock is there or it is busy, since
 * nobody could release it meanwhile.
 */
export const OK = 0;
export const BUSY = 5;

/** Lock levels. */
export const NONE = 0;
export const SHARED = 1;
export const RESERVED = 2;
const PENDING = 3;

const UNLOCK = 1;
const SHARE = 4;

/** What one connection holds of one file. */
export interface Holder {
  level: number;
  /** Bits of the shared memory's locks. */
  shared: number;
  exclusive: number;
}

/** @returns OK or BUSY */
export function lock(own: Holder, all: Iterable<Holder>, level: number): number {
  if (own.level >= level) return OK;
  let highest = NONE;
  for (const one of all) if (one !== own && one.level > highest) highest = one.level;
  if (level === SHARED && highest >= PENDING) return BUSY;
  if (level > SHARED && highest >= RESERVED) return BUSY;
  if (level > RESERVED && highest >= SHARED) {
    own.level = PENDING; // no new reader comes in, and the next try may succeed
    return BUSY;
  }
  own.level = level;
  return OK;
}

export function unlock(own: Holder, level: number): void {
  if (own.level > level) own.level = level;
}

/** @param flags as `xShmLock` is given them. @returns OK or BUSY */
export function lockMemory(
  own: Holder,
  all: Iterable<Holder>,
  first: number,
  count: number,
  flags: number,
): number {
  const mask = ((1 << count) - 1) << first;
  if ((flags & UNLOCK) !== 0) {
    own.shared &= ~mask;
    own.exclusive &= ~mask;
    return OK;
  }
  const isShared = (flags & SHARE) !== 0;
  for (const one of all) {
    if (one === own) continue;
    if ((one.exclusive & mask) !== 0 || (!isShared && (one.shared & mask) !== 0)) return BUSY;
  }
  if (isShared) own.shared |= mask;
  else own.exclusive |= mask;
  return OK;
}
