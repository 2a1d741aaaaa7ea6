/**
 * A segment: a range of a partition's entries, all of them, compressed. It is made once and never changed.
 *
 *   4 bytes   length of the head, big-endian
 *   head      JSON: the format, the partition, the epoch of its maker, the range, the checksums before its first and of its
 *             last entry, and of each block the first position, the offset behind the head, and the checksum before it
 *   blocks    one behind the other: zstd over JSON, an array a row
 *
 * Checksums of entries are not stored. A block is walked from the checksum before it, and has to arrive at the one before
 * the next: so whatever is read is verified, and the checksum of the last entry names all that the segment holds.
 *
 * Blocks of 256 and level 3 are measured: docs/decisions/0013-archives.md. Large entries make smaller blocks.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { CardumeError } from '../../base/errors.ts';
import type { Cryptography } from '../../host/cryptography.ts';
import { CHECKSUM_BYTES, checksumOf, sameChecksum } from '../checksum.ts';
import type { Entry, Head as LogHead, PartitionKey } from '../log.ts';

export interface Segment {
  readonly partition: PartitionKey;
  /** Of the partition, as it was open to whoever made it. */
  readonly epoch: number;
  /** Positions of its first and last entry. */
  readonly first: number;
  readonly last: number;
  /** Of the entry before its first one. */
  readonly before: Uint8Array;
  /** Of its last entry. */
  readonly checksum: Uint8Array;
}

export const BLOCK_ENTRIES_MAX = 256;
/** Of rows; the one that goes beyond it is the last one. */
export const BLOCK_BYTES_MAX = 2 ** 20;
/** Before compression; the entry that goes beyond it is the last one. */
export const SEGMENT_BYTES_MAX = 4 * 2 ** 20;
const FORMAT = 1;
const COMPRESSION = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };
const LENGTH_BYTES = 4;

interface Head {
  readonly format: number;
  readonly partition: PartitionKey;
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
  readonly before: string;
  readonly checksum: string;
  readonly blocks: readonly (readonly [first: number, offset: number, before: string])[];
}

type Row = readonly [
  epoch: number,
  stream: string,
  version: number | null,
  type: string,
  data: string,
  meta: string | null,
  key: string | null,
  atMs: number,
];

export interface SegmentWriter {
  /** Position of the last entry that it took. */
  readonly last: number;
  readonly isFull: boolean;
  /** Makes a block of the next entries, up to the one that makes the segment full. @throws CardumeError `storage-failed` at a gap */
  add(entries: readonly Entry[]): void;
  finish(): { readonly segment: Segment; readonly bytes: Uint8Array };
}

/** @param after the entry before its first one */
export function segmentWriter(
  { partition, epoch }: Pick<LogHead, 'partition' | 'epoch'>,
  after: { readonly position: number; readonly checksum: Uint8Array },
): SegmentWriter {
  const blocks: Uint8Array[] = [];
  const index: [first: number, offset: number, before: string][] = [];
  let { position: last, checksum } = after;
  let offset = 0;
  let bytes = 0;
  const gap = (): CardumeError => {
    const detail = `partition ${partition} has no row at position ${last + 1}, and no segment holds it`;
    return new CardumeError('storage-failed', `${detail}: bring the log back from a backup`);
  };
  return {
    get last() {
      return last;
    },
    get isFull() {
      return bytes >= SEGMENT_BYTES_MAX;
    },
    add(entries) {
      index.push([last + 1, offset, hexOf(checksum)]);
      const rows: string[] = [];
      if (entries.length === 0) throw gap();
      for (const entry of entries) {
        const { stream, version, type, data, meta, key, atMs } = entry;
        if (entry.position !== last + 1) throw gap();
        const row = JSON.stringify([entry.epoch, stream, version, type, data, meta, key, atMs] satisfies Row);
        rows.push(row);
        bytes += row.length;
        ({ position: last, checksum } = entry);
        if (bytes >= SEGMENT_BYTES_MAX) break;
      }
      const block = zstdCompressSync(`[${rows.join(',')}]`, COMPRESSION);
      blocks.push(block);
      offset += block.length;
    },
    finish() {
      const { position, checksum: before } = after;
      const segment = { partition, epoch, first: position + 1, last, before, checksum };
      const head: Head = {
        format: FORMAT,
        ...segment,
        before: hexOf(before),
        checksum: hexOf(checksum),
        blocks: index,
      };
      const text = Buffer.from(JSON.stringify(head));
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32BE(text.length);
      return { segment, bytes: Buffer.concat([length, text, ...blocks]) };
    },
  };
}

export interface OpenSegment {
  readonly segment: Segment;
  /** Position of each block's first entry. */
  readonly blocks: readonly number[];
  /** Entries of a block, walked. @throws CardumeError `storage-failed` when they do not fit */
  read(block: number): Entry[];
}

/**
 * @param where it stands, for errors
 * @throws CardumeError `storage-failed` when the bytes are not this segment's
 */
export function openSegment(
  crypto: Pick<Cryptography, 'sha256'>,
  segment: Segment,
  bytes: Uint8Array | null,
  where: string,
): OpenSegment {
  const { partition, first, last } = segment;
  const failed = (why: string, cause?: unknown): CardumeError =>
    new CardumeError(
      'storage-failed',
      `${where} ${why}: it should hold positions ${first} to ${last} of partition ${partition}; bring it back from a backup`,
      { cause },
    );
  if (bytes === null) throw failed('is missing');
  const { head, blocksAt, blocks } = guarded(() => headOf(bytes, segment), failed);

  function walk(block: number): Entry[] {
    const [from, offset, known] = head.blocks[block] as Head['blocks'][number];
    const [next = last + 1, end = (bytes as Uint8Array).length - blocksAt, arrival = head.checksum] =
      head.blocks[block + 1] ?? [];
    const packed = (bytes as Uint8Array).subarray(blocksAt + offset, blocksAt + end);
    const rows = JSON.parse(zstdDecompressSync(packed).toString()) as Row[];
    let previous: Uint8Array = Buffer.from(known, 'hex'); // ends at what is no hexadecimal
    if (previous.length !== CHECKSUM_BYTES) throw new Error('it has no checksum before a block');
    const entries = rows.map(([epoch, stream, version, type, data, meta, key, atMs], i): Entry => {
      const entry = { partition, position: from + i, epoch, stream, version, type, data, meta, key, atMs };
      previous = checksumOf(crypto, previous, entry);
      return { ...entry, checksum: previous };
    });
    if (entries.length !== next - from || hexOf(previous) !== arrival)
      throw new Error('the chain of checksums does not arrive');
    return entries;
  }

  return {
    segment,
    blocks,
    read: (block) => guarded(() => walk(block), failed),
  };
}

/** Whether both are the same entry, by what their rows say of it. */
const FIELDS = ['epoch', 'stream', 'version', 'type', 'data', 'meta', 'key', 'atMs'] as const;

/** In all that they say, whatever their checksums claim. */
export function saysTheSame(one: Entry, other: Entry): boolean {
  return isSame(one, other) && FIELDS.every((field) => one[field] === other[field]);
}

export function isSame(
  one: Pick<Entry, 'position' | 'checksum'>,
  other: Pick<Entry, 'position' | 'checksum'> | undefined,
): boolean {
  return other?.position === one.position && sameChecksum(one.checksum, other.checksum);
}

function headOf(
  bytes: Uint8Array,
  { partition, epoch, first, last, before, checksum }: Segment,
): { head: Head; blocksAt: number; blocks: number[] } {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const blocksAt = LENGTH_BYTES + all.readUInt32BE();
  const head = JSON.parse(all.toString('utf8', LENGTH_BYTES, blocksAt)) as Head;
  const fits =
    head.format === FORMAT &&
    head.partition === partition &&
    head.epoch === epoch &&
    head.first === first &&
    head.last === last &&
    head.before === hexOf(before) &&
    head.checksum === hexOf(checksum);
  if (!fits) throw new Error('it is another segment');
  return { head, blocksAt, blocks: head.blocks.map(([position]) => position) };
}

/** Whatever damaged bytes make the readers of their formats throw. */
function guarded<T>(work: () => T, failed: (why: string, cause: unknown) => CardumeError): T {
  try {
    return work();
  } catch (error) {
    throw failed('is damaged', error);
  }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
