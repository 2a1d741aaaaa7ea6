/** What stands on the disks when everything has stopped: every shard's log, read entry by entry. */
import { application } from '@cardume/shop/shop';
import type { Service } from 'cardume/cqrs/service';
import type { Entry, Head } from 'cardume/events/log';
import { openReader } from 'cardume/events/sqlite/reader';
import { verifyLog } from 'cardume/events/verify';
import type { Host } from 'cardume/host';
import type { Topology } from 'cardume/topology';
import { staticPlacement } from 'cardume/topology/placement';

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
  const placement = staticPlacement(topology);
  const shelves: Shelf[] = [];
  for (const region of Object.keys(topology.regions)) {
    for (const { service } of application.services) {
      const partitions = placement.partitionsOf(service.name, region);
      for (const name of new Set(partitions.map((partition) => placement.shardOf(partition)))) {
        shelves.push(await read(hostOf(region), region, service, `${dataFolder}/${region}/${name}`));
      }
    }
  }
  return shelves;
}

async function read(host: Host, region: string, service: Service, base: string): Promise<Shelf> {
  const path = `${base}.log.db`;
  const { heads, faults } = await verifyLog(host, { path });
  const database = host.disk.database(path, { readOnly: true });
  const reader = openReader(database);
  const entries: Entry[] = [];
  for (const { partition } of heads) {
    for (let after = 0; ; ) {
      const page = reader.readPartition(partition, after, PAGE_ENTRIES);
      entries.push(...page);
      if (page.length < PAGE_ENTRIES) break;
      after = page.at(-1)?.position ?? after;
    }
  }
  database.close();
  return { host, region, service, base, heads, entries, faults };
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
