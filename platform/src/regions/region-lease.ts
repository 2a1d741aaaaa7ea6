/**
 * A region's right to write. One lease stands for all partitions whose home the region is: while it holds, nobody takes
 * them; when it has run out, others may, so it stops writing earlier, by its own monotonic clock, counted from before it asked.
 *
 * A renewal is one call that moves the lease's end and one that sees that the region's key is still its own, in this order:
 * whoever removes the key and waits for the lease's time is sure that nobody writes under it any more.
 */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Condition, Coordinator, Lease, Value } from '../discovery/coordinator.ts';
import type { Clock, Timer } from '../host/host.ts';
import type { RegionName } from '../topology/topology.ts';

export interface RegionLease {
  /** @throws CardumeError `partition-unavailable` when it does not hold now */
  check(): void;
  isHeld(): boolean;
  /** Whether it held at that moment of the monotonic clock, or does later: until then nobody else wrote what is at home here. */
  heldAt(ms: number): boolean;
  /** Asks the coordinator. @throws CardumeError when the lease is another process's, or that cannot be found out */
  confirm(): Promise<void>;
  /** The coordinator's; null while there is none. */
  id(): string | null;
  /** Holds in a change at the coordinator as long as the lease is this process's. @throws CardumeError `partition-unavailable` */
  condition(): Condition;
  /** Stops renewing; the lease is left to run out, unless it is ended. */
  close(end: boolean): Promise<void>;
}

export interface RegionLeaseOptions {
  readonly clock: Clock;
  readonly coordinator: Coordinator;
  readonly region: RegionName;
  /** Unique to this process. */
  readonly instance: string;
  readonly ttlMs: number;
  /**
   * It was taken, for the first time or behind a gap in which others may have taken partitions: whatever the region must
   * know and do before it writes. It is tried again when that fails.
   */
  readonly taken: () => Promise<void>;
  /** The region may write up to this moment of the monotonic clock. */
  readonly onUntil: (untilMs: number) => void;
  /** @throws CardumeError `fenced` when another process has the region's files by now */
  readonly check: () => void;
  /** Another process serves the region: this one has no part in it any more. */
  readonly superseded: () => void;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** Of a lease's time: the rest is for clocks of different speed, and for a commit under way. */
const USED_SHARE = 0.8;
const RENEWALS_A_TTL = 6;
const TAKE_AGAIN_MS = 250;

export const LEASES = 'leases/';

export const keyOfLease = (region: RegionName): string => `${LEASES}${region}`;

interface Held {
  readonly lease: Lease;
  readonly revision: number;
}

export function openRegionLease(options: RegionLeaseOptions): RegionLease {
  const { clock, coordinator, region, instance, ttlMs, report } = options;
  const key = keyOfLease(region);
  let held: Held | null = null;
  /** This process has had it once. */
  let hasBegun = false;
  let untilMs = Number.NEGATIVE_INFINITY;
  let isClosed = false;
  let timer: Timer | null = null;
  let round: Promise<void> = Promise.resolve();
  let trouble: string | null = null;
  let isTold = false;
  let isSuperseded = false;

  const isHeld = (): boolean => clock.monotonicMs() < untilMs;

  /** A successor that stands still has lost its lease as well: what it has for good are the files. */
  function checkFiles(): void {
    try {
      options.check();
    } catch (error) {
      if (isCardumeError(error, 'fenced')) isSuperseded = true;
      throw error;
    }
  }

  async function take(): Promise<Held> {
    if (hasBegun) checkFiles();
    const lease = await coordinator.grant(ttlMs);
    const { values } = await coordinator.read(key);
    const standing = values.find((value) => value.key === key);
    // Whoever starts takes the key from the process before, which the storage fences, and which never takes it back.
    if (hasBegun && standing !== undefined && !isOurs(standing)) {
      isSuperseded = true;
      throw new CardumeError('fenced', `another process has begun to serve ${region}`);
    }
    const { done } = await coordinator.change(
      [{ key, revision: standing?.revision ?? 0 }],
      [{ key, value: JSON.stringify({ instance }), lease: lease.id }],
    );
    if (!done) throw new CardumeError('conflict', 'another process of the region takes its lease');
    hasBegun = true;
    return { lease, revision: await revisionNow() };
  }

  const isOurs = ({ value }: Value): boolean =>
    (JSON.parse(value) as { readonly instance: string }).instance === instance;

  /** @throws CardumeError `fenced` when the key is not ours */
  async function revisionNow(): Promise<number> {
    const { values } = await coordinator.read(key);
    const standing = values.find((value) => value.key === key);
    if (standing === undefined || !isOurs(standing))
      throw new CardumeError('fenced', `the lease of ${region} is not this process's`);
    return standing.revision;
  }

  async function renew({ lease, revision }: Held): Promise<void> {
    await lease.renew();
    if ((await revisionNow()) !== revision)
      throw new CardumeError('fenced', `the lease of ${region} was taken anew`);
  }

  async function once(): Promise<void> {
    const sentMs = clock.monotonicMs();
    if (held === null) {
      held = await take();
      try {
        await options.taken();
      } catch (error) {
        held = null;
        throw error;
      }
      // What had to be done first may have taken long.
      if (clock.monotonicMs() - sentMs > ttlMs / RENEWALS_A_TTL) return once();
    } else {
      await renew(held);
    }
    if (isClosed) return;
    untilMs = sentMs + held.lease.ttlMs * USED_SHARE;
    options.onUntil(untilMs);
  }

  async function turn(): Promise<void> {
    let pauseMs = ttlMs / RENEWALS_A_TTL;
    try {
      await once();
      if (isTold) report('the lease of the region holds again', {});
      isTold = false;
      trouble = null;
    } catch (error) {
      if (!isCardumeError(error)) throw error;
      if (error.code === 'fenced') held = null;
      trouble = error.message;
      if (isSuperseded) {
        report('the region is served by another process: this one takes no part any more', {});
        options.superseded();
        return;
      }
      // As long as it holds, a renewal that failed is no news.
      if (!isTold && !isClosed && hasBegun && !isHeld()) {
        isTold = true;
        report('the lease of the region has run out, and is not renewed', { error });
      }
      pauseMs = Math.min(pauseMs, TAKE_AGAIN_MS);
    }
    if (!isClosed) timer = clock.after(pauseMs, next);
  }

  function next(): void {
    round = turn();
  }

  const runOut = (): CardumeError =>
    new CardumeError(
      'partition-unavailable',
      `the lease of region ${region} has run out${trouble === null ? '' : `: ${trouble}`}`,
    );

  next();
  return {
    isHeld,
    heldAt: (ms) => ms < untilMs,
    async confirm() {
      if (held === null || (await revisionNow()) !== held.revision)
        throw new CardumeError('fenced', `the lease of ${region} is not this process's`);
    },
    id: () => held?.lease.id ?? null,
    condition() {
      if (held === null) throw runOut();
      return { key, revision: held.revision };
    },
    check() {
      if (!isHeld()) throw runOut();
    },
    async close(end) {
      isClosed = true;
      timer?.cancel();
      await round;
      untilMs = Number.NEGATIVE_INFINITY;
      if (end) await held?.lease.end().catch(() => undefined); // it runs out by itself
    },
  };
}
