/**
 * Entries that were cut off a copy because its partition went on elsewhere without them: see `Copies.cut`. They stand beside
 * the log for good, until somebody decides what becomes of each, and behind that with what was decided.
 */
import { assert } from '../base/assert.ts';
import type { Entry } from './log.ts';

export interface Quarantine {
  /** In order of partition, epoch and position, behind an id or from the beginning; 1 to 10,000. */
  list(after: string | null, entriesMax: number): Promise<Quarantined[]>;
  /**
   * Says what became of entries; nothing of them is deleted, and the first decision stands.
   * @param ids at most `SETTLED_MAX`
   * @returns how many had not been settled before
   */
  settle(ids: readonly string[], decision: Decision): Promise<number>;
}

/** Structured-cloneable. */
export interface Quarantined {
  /** The entry's token. */
  readonly id: string;
  readonly entry: Entry;
  /** Wall clock of the cut. */
  readonly cutMs: number;
  /** Null while nobody has decided. */
  readonly settled: (Decision & { readonly atMs: number }) | null;
}

export interface Decision {
  /** `resubmitted`: it stands in the log of its partition's home after all. `discarded`: nobody wants it. */
  readonly decided: 'resubmitted' | 'discarded';
  /** Who decided, for people: at most 200 bytes. */
  readonly by: string;
}

/** Of one call. */
export const SETTLED_MAX = 1_000;
const BY_BYTES_MAX = 200;

export function checkSettled(ids: readonly string[], { by }: Decision): void {
  assert(
    ids.length <= SETTLED_MAX,
    `at most ${SETTLED_MAX} entries are settled at a time, not ${ids.length}`,
  );
  assert(Buffer.byteLength(by) <= BY_BYTES_MAX, `who decides is named in ${BY_BYTES_MAX} bytes at most`);
}
