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
  #room = new Uint8Array(0);
  size = 0;

  read(into: Uint8Array, offset: number): number {
    const count = Math.max(0, Math.min(into.length, this.size - offset));
    if (count > 0) into.set(this.#room.subarray(offset, offset + count));
    return count;
  }

  write(from: Uint8Array, offset: number): void {
    const end = offset + from.length;
    this.#reserve(end);
    this.#room.set(from, offset);
    if (end > this.size) this.size = end;
  }

  truncate(size: number): void {
    this.#reserve(size);
    if (size < this.size) this.#room.fill(0, size, this.size);
    this.size = size;
  }

  copy(): Uint8Array {
    return new Uint8Array(this.#room.subarray(0, this.size));
  }

  become(other: Bytes): void {
    this.#room = new Uint8Array(other.copy());
    this.size = other.size;
  }

  #reserve(size: number): void {
    if (size <= this.#room.length) return;
    const grown = new Uint8Array(Math.max(size, this.#room.length * 2, 4_096));
    grown.set(this.#room);
    this.#room = grown;
  }
}
