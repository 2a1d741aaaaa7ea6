/** What stands on the disks when everything has stopped: every shard's log, read entry by entry. */
import { application } from '@cardume/shop/shop';
import type { Service } from 'cardume/cqrs/service';
import type { Entry, Head } from 'cardume/events/log';
import { sqlite } from 'cardume/events/sqlite/sqlite';
import { verifyLog } from 'cardume/events/verify';
import type { Host } from 'cardume/host';
import { readMap } from 'cardume/instance/map-store';
import { guestsIn, homesIn, type ShardMap } from 'cardume/sharding/shard-map';
import type { Topology } from 'cardume/topology';

export interface Shelf {
  readonly host: Host;
  readonly region: string;
  readonly service: Service;
  /** Path without ending. */
  readonly base: string;
  readonly heads: readonly Head[];
  /** Of all partitions, each partition's in order. */
  readonly entries: readonly Entry[];
  /** What the log's own verification found. */
  readonly faults: readonly string[];
}

const PAGE_ENTRIES = 2_000;

/** @param hostOf a host with the region's disk */
export async function openShelves(
  topology: Topology,
  dataFolder: string,
  hostOf: (region: string) => Host,
): Promise<Shelf[]> {
  const services = application.services.map(({ service }) => service);
  const shelves: Shelf[] = [];
  for (const region of Object.keys(topology.regions)) {
    const host = hostOf(region);
    const folder = `${dataFolder}/${region}`;
    const map = readMap(host, folder) as ShardMap;
    for (const { service: of, name } of map.shards) {
      const service = services.find((one) => one.name === of) as Service;
      shelves.push(
        await read(host, region, service, `${folder}/${name}`, [
          ...homesIn(map, of, name),
          ...guestsIn(map, of, name),
        ]),
      );
    }
  }
  return shelves;
}

/** @param homes partitions that are at home there: when every reshard has ended, nothing else may stand there */
async function read(
  host: Host,
  region: string,
  service: Service,
  base: string,
  homes: readonly number[],
): Promise<Shelf> {
  const path = `${base}.log.db`;
  const { heads: all, faults } = await verifyLog(host, { path });
  // A process that stood still may have begun a copy when it was cleared away already: it stays empty.
  const heads = all.filter(({ partition, position }) => position > 0 || homes.includes(partition));
  const there = heads.map(({ partition }) => partition).sort((a, b) => a - b);
  const expected = [...homes].sort((a, b) => a - b);
  const left =
    there.join() === expected.join() ? [] : [`it holds ${there.join()}; at home are ${expected.join()}`];
  const reader = await sqlite.openReader(host, { path });
  const entries: Entry[] = [];
  for (const { partition } of heads) {
    for (let after = 0; ; ) {
      const page = await reader.readPartition(partition, after, PAGE_ENTRIES);
      entries.push(...page);
      if (page.length < PAGE_ENTRIES) break;
      after = page.at(-1)?.position ?? after;
    }
  }
  await reader.close();
  return { host, region, service, base, heads, entries, faults: [...faults, ...left] };
}

/** The event of an entry; personal fields stay sealed. */
export function eventIn<Event>(entry: Entry): Event {
  return { ...(JSON.parse(entry.data) as object), type: entry.type } as Event;
}

/** What a keyed command was refused for, when the entry remembers a refusal. */
export function refusalIn(entry: Entry): { readonly code: string; readonly detail: string } | null {
  if (entry.version !== null || entry.meta === null) return null;
  return (JSON.parse(entry.meta) as { rejected?: { code: string; detail: string } }).rejected ?? null;
}
