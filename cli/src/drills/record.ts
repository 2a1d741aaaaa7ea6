/**
 * What a drill writes down while it runs: everything that is measured later is a pure function of it. All times are
 * milliseconds of the monotonic clock since the drill's traffic began.
 */

/** Classes of keys: each has its home by a rule of its own. */
export const writeKinds = ['order', 'user', 'stock', 'claim', 'product'] as const;
export type WriteKind = (typeof writeKinds)[number];
export type Kind = WriteKind | 'read';

/** One try of one request. */
export interface Attempt {
  /** Number of the request that it belongs to. */
  readonly request: number;
  readonly kind: Kind;
  /** The fault strikes the home of what it is about. */
  readonly affected: boolean;
  readonly begunMs: number;
  readonly endedMs: number;
  /** Of HTTP; 0: the connection broke, or nobody answered in time. */
  readonly status: number;
  /** The problem's code, or what broke. Empty when it was done. */
  readonly why: string;
}

/** A request of a client, over all of its attempts. */
export interface Request {
  readonly request: number;
  readonly kind: Kind;
  readonly affected: boolean;
  readonly begunMs: number;
  readonly endedMs: number;
  readonly attempts: number;
  /** Of the last attempt. */
  readonly status: number;
}

/** A write that the platform acknowledged, and what was found of it at the end. */
export interface Acknowledged {
  readonly request: number;
  readonly kind: WriteKind;
  readonly affected: boolean;
  readonly ackedMs: number;
  /** Of what was made: an id, or the key of a receipt. */
  readonly what: string;
  readonly found: 'there' | 'lost' | 'unknown';
}

export type MarkKind =
  /** The fault begins: a process is killed, a line is cut. */
  | 'struck'
  | 'lease-over'
  | 'homes-moved'
  /** What was struck runs again, or the line is whole. */
  | 'healed'
  | 'ready'
  | 'caught-up'
  | 'given-back'
  | 'quarantined'
  | 'note';

export interface Mark {
  readonly atMs: number;
  readonly kind: MarkKind;
  readonly text: string;
  /** Of partitions that moved: their home now; of a quarantine: whose it is. */
  readonly region?: string;
  /** Entries of a quarantine, partitions that moved. */
  readonly count?: number;
}

/** One run of a drill, whole. JSON. */
export interface DrillRecord {
  readonly attempts: readonly Attempt[];
  readonly requests: readonly Request[];
  readonly acknowledged: readonly Acknowledged[];
  readonly marks: readonly Mark[];
  /** Traffic ended here. */
  readonly endedMs: number;
  /** Requests that were due and left out, since too many were under way. */
  readonly skipped: number;
  /** Orders that had not ended at the end. */
  readonly openOrders: number;
  /** What did not come back to where it was: sentences. */
  readonly troubles: readonly string[];
}
