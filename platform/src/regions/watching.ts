/** What this region hears from the coordinator: who is home to what, and who has a lease. */
import { isCardumeError } from '../base/errors.ts';
import type { Coordinator, News, Value } from '../discovery/coordinator.ts';
import type { Clock } from '../host/host.ts';
import type { RegionName } from '../topology/topology.ts';
import { HOMES } from './homes.ts';
import { LEASES } from './region-lease.ts';

export interface WatchingGround {
  readonly clock: Clock;
  readonly coordinator: Coordinator;
  readonly others: readonly RegionName[];
  /** Of homes. */
  readonly learn: (values: readonly (Value | News)[]) => void;
  /** How long the region has said nothing; null: it never did. */
  readonly silentMs: (region: RegionName) => number | null;
  readonly signal: AbortSignal;
}

export interface Watching {
  /** @returns the revision of what was learnt */
  refresh(): Promise<number>;
  /** Until the signal. */
  begin(): void;
  /** Without a lease, and silent; one that still answers is given time to take its lease again. */
  seesLost(region: RegionName): boolean;
}

const READ_AGAIN_MS = 200;
/** A home is heard of four times a second. */
const SILENT_MS_MIN = 1_000;
const LOST_THOUGH_HEARD_MS = 10_000;

export function openWatching(ground: WatchingGround): Watching {
  const { clock, coordinator, others, learn, signal } = ground;
  /** Regions with a lease, and since when the others have none, as this region sees it. */
  const live = new Set<RegionName>();
  const lostSinceMs = new Map<RegionName, number>();

  async function refresh(): Promise<number> {
    const { values, revision } = await coordinator.read(HOMES);
    learn(values);
    return revision;
  }

  async function watchHomes(): Promise<void> {
    const revision = await refresh();
    for await (const news of coordinator.watch(HOMES, revision, signal)) learn(news);
  }

  /** Who has a lease, as this region sees it. */
  async function watchLeases(): Promise<void> {
    const { values, revision } = await coordinator.read(LEASES);
    const found = new Set(values.map(({ key }) => key.slice(LEASES.length)));
    for (const region of others) sawLease(region, found.has(region));
    for await (const news of coordinator.watch(LEASES, revision, signal)) {
      for (const { key, value } of news) sawLease(key.slice(LEASES.length), value !== null);
    }
  }

  function sawLease(region: RegionName, isThere: boolean): void {
    if (isThere) lostSinceMs.delete(region);
    else if (!lostSinceMs.has(region)) lostSinceMs.set(region, clock.monotonicMs());
    if (isThere) live.add(region);
    else live.delete(region);
  }

  async function again(watch: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      try {
        await watch();
      } catch (error) {
        if (!isCardumeError(error)) throw error;
      }
      if (!signal.aborted) await clock.sleep(READ_AGAIN_MS);
    }
  }

  return {
    refresh,
    begin() {
      void again(watchHomes);
      void again(watchLeases);
    },
    seesLost(region) {
      const sinceMs = lostSinceMs.get(region);
      if (live.has(region) || sinceMs === undefined) return false;
      const silentMs = ground.silentMs(region) ?? Number.POSITIVE_INFINITY;
      return silentMs > SILENT_MS_MIN || clock.monotonicMs() - sinceMs > LOST_THOUGH_HEARD_MS;
    },
  };
}
