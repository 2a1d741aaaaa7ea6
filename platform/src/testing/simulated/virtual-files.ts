/**
 * Files of one simulated machine. What was written is seen at once. What a power loss leaves is what was synced, and of
 * the writes after that whatever the seed decides: each there, lost, or torn at a sector of 512 bytes, in any order.
 */
export const SECTOR_BYTES = 512;

/** A change of a file that was not synced. */
export interface Unsynced {
  readonly offset: number;
  /** Null: the file was cut, or grown, to `offset` bytes. */
  readonly bytes: Uint8Array | null;
}

/** From where to where of a write's bytes reach the disk; null: none. */
export type Kept = readonly [number, number] | null;

export class VirtualFile {
  readonly #seen = new Bytes();
  readonly #durable = new Bytes();
  #unsynced: Unsynced[] = [];
  /** The name in the folder survives a power loss. */
  isNamed = false;

  get size(): number {
    return this.#seen.size;
  }

  get unsynced(): number {
    return this.#unsynced.length;
  }

  /** A copy. */
  all(): Uint8Array {
    return this.#seen.copy();
  }

  /** @returns how many bytes there were */
  read(into: Uint8Array, offset: number): number {
    return this.#seen.read(into, offset);
  }

  write(from: Uint8Array, offset: number): void {
    const bytes = new Uint8Array(from); // the caller's memory may be the heap of a WebAssembly instance
    this.#unsynced.push({ offset, bytes });
    this.#seen.write(bytes, offset);
  }

  truncate(size: number): void {
    this.#unsynced.push({ offset: size, bytes: null });
    this.#seen.truncate(size);
  }

  sync(): void {
    for (const one of this.#unsynced) this.#reach(one);
    this.#unsynced = [];
  }

  /** A sync failed, and the system takes what it should have brought to the disk for brought: it never gets there. */
  forget(): void {
    this.#unsynced = [];
  }

  /** Changes a byte where it lies, as a bad sector does. */
  damage(offset: number, change: (byte: number) => number): void {
    for (const bytes of [this.#seen, this.#durable]) {
      const one = new Uint8Array(1);
      bytes.read(one, offset);
      bytes.write(Uint8Array.of(change(one[0] as number)), offset);
    }
  }

  loseUnsynced(keep: (write: Unsynced) => Kept): void {
    for (const one of this.#unsynced) {
      const kept = keep(one);
      if (kept === null) continue;
      const { offset, bytes } = one;
      this.#reach(bytes === null ? one : { offset: offset + kept[0], bytes: bytes.subarray(...kept) });
    }
    this.#unsynced = [];
    this.#seen.become(this.#durable);
  }

  /** Nobody reads it any more. */
  release(): void {
    this.#unsynced = [];
    this.#seen.release();
    this.#durable.release();
  }

  #reach({ offset, bytes }: Unsynced): void {
    if (bytes === null) this.#durable.truncate(offset);
    else this.#durable.write(bytes, offset);
  }
}

export class VirtualFiles {
  readonly files = new Map<string, VirtualFile>();
  readonly #folders = new Set<string>(['']);
  /** Paths may also be written with this in front. */
  readonly folder: string;
  /**
   * Asked before each operation of SQLite on a file: 0, or the result code that SQLite gets in place of the operation.
   */
  fault: (operation: 'read' | 'write' | 'sync', path: string, file: VirtualFile) => number = () => 0;

  constructor(folder: string) {
    this.folder = folder;
  }

  pathOf(name: string): string {
    const path = name.startsWith(this.folder) ? name.slice(this.folder.length) : name;
    return path.replaceAll(/\/+/g, '/');
  }

  hasFolderOf(path: string): boolean {
    return this.#folders.has(path.slice(0, path.lastIndexOf('/')));
  }

  makeFolder(path: string): void {
    const parts = path.split('/').filter((part) => part !== '');
    parts.forEach((_, i) => {
      this.#folders.add(`/${parts.slice(0, i + 1).join('/')}`);
    });
  }

  list(path: string): string[] {
    const start = path === '/' ? '/' : `${path}/`;
    const names = new Set<string>();
    for (const one of [...this.files.keys(), ...this.#folders]) {
      if (one.startsWith(start) && one !== start) names.add(one.slice(start.length).split('/')[0] as string);
    }
    return [...names].sort();
  }

  remove(path: string): void {
    const isBelow = (one: string): boolean => one === path || one.startsWith(`${path}/`);
    for (const one of this.files.keys()) if (isBelow(one)) this.files.delete(one);
    for (const one of this.#folders) if (isBelow(one)) this.#folders.delete(one);
  }

  /** The simulation is over. */
  release(): void {
    for (const file of this.files.values()) file.release();
    this.files.clear();
  }

  /** Atomic and durable. */
  replace(path: string, bytes: Uint8Array): void {
    const file = new VirtualFile();
    file.write(bytes, 0);
    file.sync();
    file.isNamed = true;
    this.files.set(path, file);
  }

  /** The folders are synced: every name in them is durable. */
  syncNames(): void {
    for (const file of this.files.values()) file.isNamed = true;
  }

  loseUnsynced(keep: (path: string, write: Unsynced) => Kept): void {
    for (const [path, file] of this.files) {
      file.loseUnsynced((write) => keep(path, write));
      if (!file.isNamed) this.files.delete(path);
    }
  }
}

/** An array of bytes that grows. */
class Bytes {
  /** What lies behind `size` is of an earlier use. */
  #room = new Uint8Array(0);
  size = 0;

  read(into: Uint8Array, offset: number): number {
    const count = Math.max(0, Math.min(into.length, this.size - offset));
    if (count > 0) into.set(this.#room.subarray(offset, offset + count));
    return count;
  }

  write(from: Uint8Array, offset: number): void {
    if (offset > this.size) this.truncate(offset);
    const end = offset + from.length;
    this.#reserve(end);
    this.#room.set(from, offset);
    if (end > this.size) this.size = end;
  }

  truncate(size: number): void {
    this.#reserve(size);
    if (size > this.size) this.#room.fill(0, this.size, size);
    this.size = size;
  }

  copy(): Uint8Array {
    return new Uint8Array(this.#room.subarray(0, this.size));
  }

  become(other: Bytes): void {
    this.#reserve(other.size);
    this.size = other.read(this.#room, 0);
  }

  release(): void {
    giveRoom(this.#room);
    this.#room = new Uint8Array(0);
    this.size = 0;
  }

  #reserve(size: number): void {
    if (size <= this.#room.length) return;
    const grown = takeRoom(size);
    grown.set(this.#room.subarray(0, this.size));
    giveRoom(this.#room);
    this.#room = grown;
  }
}

/** A run touches hundreds of megabytes, which the system would have to clear: the next run takes the same. By their size. */
const rooms = new Map<number, Uint8Array<ArrayBuffer>[]>();
const ROOM_BYTES_MIN = 4_096;
const ROOMS_BYTES_MAX = 256 * 1024 * 1024;
let roomsBytes = 0;

function takeRoom(size: number): Uint8Array<ArrayBuffer> {
  const bytes = Math.max(ROOM_BYTES_MIN, 2 ** Math.ceil(Math.log2(size)));
  const room = rooms.get(bytes)?.pop();
  if (room === undefined) return new Uint8Array(bytes);
  roomsBytes -= bytes;
  return room;
}

function giveRoom(room: Uint8Array<ArrayBuffer>): void {
  if (room.length === 0 || roomsBytes + room.length > ROOMS_BYTES_MAX) return;
  roomsBytes += room.length;
  const same = rooms.get(room.length);
  if (same === undefined) rooms.set(room.length, [room]);
  else same.push(room);
}
