/**
 * What one region sends another of its log: pages of entries, each of one partition and in order, with the keys that their
 * personal fields are sealed under. A parcel is many pages, compressed: entries of a service are much alike.
 */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { CardumeError } from '../../base/errors.ts';
import type { Entry } from '../../events/log.ts';
import type { WrappedKey } from '../../privacy/key-store.ts';

export interface Page {
  readonly service: string;
  readonly partition: number;
  /** The sender is home in this epoch. */
  readonly homeEpoch: number;
  readonly entries: readonly Entry[];
  readonly keys: readonly WrappedKey[];
}

/** JSON. */
export interface Parcel {
  /** Compressed pages, in base64. */
  readonly pages: string;
  /** Partitions of which the asker has entries that this history does not. */
  readonly diverged: readonly PartitionOf[];
  /** Partitions whose home is not here, or not any more: nothing further comes of them. */
  readonly gone: readonly PartitionOf[];
  /** Partitions that were gone, and have come home here since: whoever wants them begins again. */
  readonly came: readonly PartitionOf[];
}

export type PartitionOf = readonly [service: string, partition: number];

type Cells = readonly [
  position: number,
  epoch: number,
  stream: string,
  version: number | null,
  type: string,
  data: string,
  meta: string | null,
  key: string | null,
  atMs: number,
  checksum: string,
];

type PackedPage = readonly [
  service: string,
  partition: number,
  homeEpoch: number,
  entries: readonly Cells[],
  keys: readonly (readonly [subject: string, wrapped: string])[],
];

/** Of a parcel as text, before it is compressed: a sender gathers no more. */
export const PARCEL_CHARS_MAX = 256 * 1024;
/** One entry may be larger than the bound of a parcel, and goes alone then. */
const PARCEL_BYTES_MAX = 64 * 1024 * 1024;

/** About what an entry takes in a parcel. */
export function charsOf({ stream, type, data, meta, key }: Entry): number {
  return 90 + stream.length + type.length + data.length + (meta?.length ?? 0) + (key?.length ?? 0);
}

export function packPages(pages: readonly Page[]): string {
  const packed = pages.map(
    ({ service, partition, homeEpoch, entries, keys }): PackedPage => [
      service,
      partition,
      homeEpoch,
      entries.map(cellsOf),
      keys.map(({ subject, wrapped }) => [subject, wrapped.toBase64()] as const),
    ],
  );
  return zstdCompressSync(JSON.stringify(packed)).toString('base64');
}

/** @throws CardumeError `internal` for what is no parcel */
export function unpackPages(text: string): Page[] {
  let packed: readonly PackedPage[];
  try {
    const bytes = zstdDecompressSync(Buffer.from(text, 'base64'), { maxOutputLength: PARCEL_BYTES_MAX });
    packed = JSON.parse(bytes.toString()) as PackedPage[];
  } catch (cause) {
    throw new CardumeError('internal', 'a parcel of another region cannot be read', { cause });
  }
  return packed.map(([service, partition, homeEpoch, entries, keys]) => ({
    service,
    partition,
    homeEpoch,
    entries: entries.map((cells) => entryOf(partition, cells)),
    keys: keys.map(([subject, wrapped]) => ({ partition, subject, wrapped: Uint8Array.fromBase64(wrapped) })),
  }));
}

function cellsOf(entry: Entry): Cells {
  const { position, epoch, stream, version, type, data, meta, key, atMs, checksum } = entry;
  return [position, epoch, stream, version, type, data, meta, key, atMs, checksum.toBase64()];
}

function entryOf(partition: number, cells: Cells): Entry {
  const [position, epoch, stream, version, type, data, meta, key, atMs, checksum] = cells;
  return {
    partition,
    position,
    epoch,
    stream,
    version,
    type,
    data,
    meta,
    key,
    atMs,
    checksum: Uint8Array.fromBase64(checksum),
  };
}
