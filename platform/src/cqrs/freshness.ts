/**
 * How old a read may be. Only a shard's host knows what was written until when, so it says what a replica must have: the
 * positions that stood at some moment behind the one that the reader names.
 */
import type { Head } from '../events/log.ts';
import { decodeToken } from '../events/token.ts';
import type { Clock } from '../host/host.ts';
import type { Freshness } from '../sharding/query.ts';

export const STALENESS_MS_MAX = 60_000;

/** Partition, and a position of it. */
export type Positions = ReadonlyMap<number, number>;

export interface Past {
  /** Of a moment at which something was committed. */
  note(): void;
  /** Of each partition, at least what had been committed when `ageMs` were left until now, and at most what is. */
  positionsSince(ageMs: number): Positions;
}

const NOTE_EVERY_MS = 100;

export function openPast(clock: Clock, heads: () => readonly Head[]): Past {
  const notes: { readonly atMs: number; readonly positions: Positions }[] = [];
  const positionsNow = (): Positions => new Map(heads().map((head) => [head.partition, head.position]));
  return {
    note() {
      const atMs = clock.monotonicMs();
      if (atMs - (notes.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY) < NOTE_EVERY_MS) return;
      notes.push({ atMs, positions: positionsNow() });
      while ((notes[0]?.atMs ?? atMs) < atMs - STALENESS_MS_MAX) notes.shift();
    },
    positionsSince(ageMs) {
      const sinceMs = clock.monotonicMs() - Math.min(ageMs, STALENESS_MS_MAX);
      // What was committed between this note and the one before may be older.
      return notes.find(({ atMs }) => atMs >= sinceMs)?.positions ?? positionsNow();
    },
  };
}

/** What a read of the partitions must have. @returns partition and position */
export function floorOf(
  { maxStalenessMs, seen }: Freshness,
  service: string,
  partitions: readonly number[],
  past: Past,
): [partition: number, position: number][] {
  const since = past.positionsSince(maxStalenessMs);
  const token = seen?.service === service ? decodeToken(seen.token) : null;
  return partitions.map((partition) => {
    const own = token?.partition === partition ? token.position : 0;
    // A partition that came since then was elsewhere: all of it.
    return [partition, Math.max(own, since.get(partition) ?? Number.MAX_SAFE_INTEGER)];
  });
}
