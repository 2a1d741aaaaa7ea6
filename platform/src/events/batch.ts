/**
 * What a group commit hands to an engine, and what it hears. Both cross threads: a flat array clones fastest
 * (measured for 128 entries of 350 bytes: 0.6 µs an entry; objects 1.3 µs, JSON text 2.0 µs).
 */
import { assert } from '../base/assert.ts';
import type { ErrorCode } from '../base/errors.ts';
import { EMPTY_CHECKSUM } from './checksum.ts';
import type { Entry, NewEntry, PartitionKey } from './log.ts';

/** A number, text or null of a row. */
export type Cell = string | number | null;

export interface Batch {
  /** Grows with each batch of one opener; with the epoch it names the batch for good. */
  readonly number: number;
  /** Partition and count of entries of each append, in order of arrival. */
  readonly appends: readonly number[];
  /** `CELLS` cells an entry, in the order of `pack`. */
  readonly cells: readonly Cell[];
}

export interface Outcome {
  readonly batch: number;
  /** Position of each append's first entry; 0 when it failed. */
  readonly positions: readonly number[];
  readonly failures: readonly Failure[];
  /** `CHECKSUM_BYTES` for each entry that stands, in order. */
  readonly checksums: Uint8Array;
}

export interface Failure {
  /** Index of the append in its batch. */
  readonly append: number;
  readonly code: ErrorCode;
  readonly detail: string;
}

export const CELLS = 7;

export function pack(entries: readonly NewEntry[], into: Cell[]): void {
  for (const { stream, version, type, data, meta, key, atMs } of entries) {
    into.push(stream, version, type, data, meta, key, atMs);
  }
}

/** Entry `index` of a batch; its checksum, over all the rest, is the engine's to fill in. */
export function unpack(
  { cells }: Batch,
  index: number,
  partition: PartitionKey,
  epoch: number,
  position: number,
): Entry & { checksum: Uint8Array } {
  const at = index * CELLS;
  assert(at + CELLS <= cells.length, 'a batch has the cells of its entries');
  return {
    partition,
    position,
    epoch,
    stream: cells[at] as string,
    version: cells[at + 1] as number | null,
    type: cells[at + 2] as string,
    data: cells[at + 3] as string,
    meta: cells[at + 4] as string | null,
    key: cells[at + 5] as string | null,
    atMs: cells[at + 6] as number,
    checksum: EMPTY_CHECKSUM,
  };
}
