/**
 * What happens to leases and homes, as the coordinator tells it, and whether all copies are up to date, as the regions do.
 * The drill is one more reader of the coordinator: it writes nothing there but its own end.
 */
import { isCardumeError } from 'cardume/base';
import { openCoordinator } from 'cardume/discovery';
import type { News } from 'cardume/discovery/coordinator';
import { addressOfPeer } from 'cardume/instance/regional';
import { openPeers } from 'cardume/links/peer';
import { HOMES, type Home } from 'cardume/regions/homes';
import { LEASES } from 'cardume/regions/region-lease';
import type { RegionName } from 'cardume/topology';
import { Failure } from '../failure.ts';
import type { Shell } from '../shell.ts';
import type { Grounds } from './grounds.ts';

export interface Watching {
  close(): Promise<void>;
}

export interface WatchingOptions {
  readonly shell: Shell;
  readonly grounds: Grounds;
  readonly onLease: (region: RegionName, isHeld: boolean) => void;
  /** Partitions of one change at the coordinator that have another home now. */
  readonly onHomes: (home: RegionName, partitions: number) => void;
}

const AGAIN_MS = 100;
const TIMEOUT_MS = 2_000;
/** A change at the coordinator has at most so many keys. */
const KEYS_A_CHANGE = 50;

/** @throws Failure where the topology has no coordinator */
export function watchCoordinator(options: WatchingOptions): Watching {
  const { shell, grounds, onLease, onHomes } = options;
  const { host } = shell;
  const { topology, secrets } = grounds;
  const peers = openPeers(host, {
    self: 'drill',
    secret: secrets.clusterSecret,
    addressOf(name) {
      const address = addressOfPeer(topology, name);
      if (address === null) throw new Failure(`There is no peer ${name}.`);
      return address;
    },
    timeoutMs: TIMEOUT_MS,
    requestsMax: 16,
    serve() {
      throw new Failure('A drill serves nobody.');
    },
  });
  const coordinator = openCoordinator(host, topology, peers);
  if (coordinator === null)
    throw new Failure(
      'Regions that have no coordinator do not follow each other.',
      'See `coordinator` in the topology.',
    );
  const ended = new AbortController();

  async function follow(prefix: string, learn: (news: readonly News[]) => void): Promise<void> {
    while (!ended.signal.aborted) {
      try {
        const { values, revision } = (await coordinator?.read(prefix)) ?? { values: [], revision: 0 };
        learn(values);
        for await (const news of coordinator?.watch(prefix, revision, ended.signal) ?? []) learn(news);
      } catch (error) {
        if (!isCardumeError(error)) throw error; // it cannot be reached: it is asked again
      }
      if (!ended.signal.aborted) await host.clock.sleep(AGAIN_MS);
    }
  }

  const held = new Set<RegionName>();
  const terms = new Map<string, number>();
  const working = [
    follow(LEASES, (news) => {
      for (const { key, value } of news) {
        const region = key.slice(LEASES.length);
        if (held.has(region) === (value !== null)) continue;
        if (value === null) held.delete(region);
        else held.add(region);
        onLease(region, value !== null);
      }
    }),
    follow(HOMES, (news) => {
      const moved = new Map<RegionName, number>();
      for (const { key, value } of news) {
        if (value === null) continue;
        const { region, term } = JSON.parse(value) as Home;
        if ((terms.get(key) ?? 0) >= term) continue;
        terms.set(key, term);
        moved.set(region, (moved.get(region) ?? 0) + 1);
      }
      for (const [region, partitions] of moved) onHomes(region, partitions);
    }),
  ];

  /** An etcd outlives the drill: nothing of it stays there. */
  async function sweep(): Promise<void> {
    if (topology.coordinator?.engine !== 'etcd') return;
    const { values } = (await coordinator?.read('')) ?? { values: [] };
    for (let i = 0; i < values.length; i += KEYS_A_CHANGE) {
      const some = values.slice(i, i + KEYS_A_CHANGE).map(({ key }) => ({ key, value: null }));
      await coordinator?.change([], some);
    }
  }

  return {
    async close() {
      ended.abort();
      await Promise.all(working);
      await sweep().catch((error: unknown) => {
        if (!isCardumeError(error)) throw error; // its keys bear the drill's own name: they disturb nobody
      });
      await coordinator.close();
      await peers.close();
    },
  };
}

/** What the API says of a region. */
export interface RegionSeen {
  readonly region: RegionName;
  readonly reachable: boolean;
  readonly lease: boolean;
  readonly partitions: number;
  readonly adopted: number;
  readonly follows: readonly {
    readonly home: RegionName;
    readonly partitions: number;
    readonly entries_behind: number;
    readonly behind_ms: number | null;
    readonly trouble: string | null;
  }[];
}

/**
 * What keeps the regions from following each other in all; empty: nothing does.
 * @param behindMsMax so old may a copy be: what came later than that is no matter
 */
export function behindText(regions: readonly RegionSeen[], behindMsMax: number): string {
  const homes = new Map(regions.map(({ region, partitions }) => [region, partitions]));
  const faults = regions.flatMap(({ region, reachable, lease, follows }) => {
    if (!reachable) return [`${region} cannot be reached`];
    const late = follows.flatMap(({ home, partitions, behind_ms: ms, entries_behind: entries, trouble }) => {
      const of = homes.get(home) ?? 0;
      if (trouble !== null) return [`${region} does not follow ${home}: ${trouble}`];
      if (partitions !== of) return [`${region} follows ${partitions} of ${of} partitions of ${home}`];
      if (of === 0 || (ms !== null && ms < behindMsMax)) return [];
      return [`${region} is ${entries} entries behind ${home}, since ${ms ?? '?'} ms`];
    });
    return lease ? late : [`${region} has no lease`, ...late];
  });
  return faults.join('; ');
}
