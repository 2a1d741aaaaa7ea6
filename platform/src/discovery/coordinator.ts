/**
 * What regions agree on: small values under keys, changed together or not at all; leases; and news of changes. Drivers:
 * embedded (one process keeps it in a file) and etcd. The conformance suite in `testing` says what each must do.
 *
 * All calls are linearizable, and end within a bounded time. A call that fails with `partition-unavailable` changed
 * nothing, nor did one with `overloaded` (the coordinator holds as much as it may) or `invalid-input` (see the bounds
 * below). Of one that fails with `unknown-outcome` nobody knows, and it may yet come about: whoever asked reads again, and
 * asks again under the condition that nothing has changed meanwhile, which only one of the two can find true.
 */
export interface Coordinator {
  /** Values whose keys begin with the prefix, in order of key, all as of one revision. */
  read(prefix: string): Promise<Read>;
  /**
   * All changes, if all conditions hold. A value may be bound to a lease: it goes when the lease ends. Put again without
   * the lease, it stays. To remove what is not there changes nothing, and is no fault.
   * @returns whether they held, and the revision behind it
   * @throws CardumeError `fenced` when a lease that a value is bound to has ended
   */
  change(conditions: readonly Condition[], changes: readonly Change[]): Promise<Changed>;
  /**
   * A lease that ends by itself when it is not renewed in time. It ends no sooner than `ttlMs` after the last renewal
   * was asked for, by the coordinator's monotonic clock: whoever holds it counts from before the call, and stops earlier.
   * @param ttlMs from 100 to 86,400,000; a driver may grant a longer one: `Lease.ttlMs` says
   */
  grant(ttlMs: number): Promise<Lease>;
  /**
   * Changes under the prefix behind the revision, in order and without a gap, those of one revision together; ends when
   * the signal does.
   * @throws CardumeError `partition-unavailable` when the coordinator cannot be reached, or has forgotten changes that
   *   old: whoever watches reads and begins again
   */
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<readonly News[]>;
  close(): Promise<void>;
}

export interface Read {
  /** Grows with every change. */
  readonly revision: number;
  readonly values: readonly Value[];
}

export interface Value {
  /** At most 200 characters of `a-z0-9-_./`. */
  readonly key: string;
  /** At most 65,536 characters: UTF-16 units, none of a surrogate pair alone. */
  readonly value: string;
  /** Of its last change. */
  readonly revision: number;
}

/** The key stands at the revision; 0: there is none. At most 100 in one call. */
export interface Condition {
  readonly key: string;
  readonly revision: number;
}

/** At most 100 in one call, no key twice, all values together of at most 400,000 characters. */
export type Change =
  | { readonly key: string; readonly value: string; readonly lease?: string | undefined }
  | { readonly key: string; readonly value: null };

export interface Changed {
  readonly done: boolean;
  readonly revision: number;
}

/** What a key has come to; null: it was removed, by hand or with its lease. */
export interface News {
  readonly key: string;
  readonly value: string | null;
  readonly revision: number;
}

export interface Lease {
  readonly id: string;
  readonly ttlMs: number;
  /** @throws CardumeError `fenced` when it has ended */
  renew(): Promise<void>;
  /** Ends it now, with all that is bound to it. One that has ended is no fault. */
  end(): Promise<void>;
}

export const KEY_CHARS_MAX = 200;
export const VALUE_CHARS_MAX = 65_536;
export const CHANGES_MAX = 100;
export const CONDITIONS_MAX = 100;
/** Of all values of one change: in UTF-8 they fit into etcd's largest request, 1.5 MiB as it comes. */
export const CHANGE_CHARS_MAX = 400_000;
export const LEASE_MS_MIN = 100;
export const LEASE_MS_MAX = 86_400_000;
