/** The read models of this program, built beside those of one that runs: for all shards of a region. */
import type { Building } from '../cqrs/building.ts';
import { logPlaceOf, openBeside } from '../cqrs/engines.ts';
import { type Preparation, prepare } from '../cqrs/prepare.ts';
import type { Service } from '../cqrs/service.ts';
import { upcastersOf } from '../cqrs/upcasting.ts';
import { openBesideLog } from '../events/beside.ts';
import type { Host } from '../host/host.ts';
import type { ShardOfMap } from '../sharding/shard-map.ts';
import type { RegionName, Topology } from '../topology/topology.ts';
import type { Application } from './application.ts';
import { REST, REST_MS_MAX } from './long-work.ts';
import { readMap } from './map-store.ts';
import { placeOf } from './storage.ts';

export interface PrepareOptions {
  readonly host: Host;
  readonly topology: Topology;
  readonly application: Pick<Application, 'services'>;
  readonly dataFolder: string;
  readonly region: RegionName;
  /** What a shard has to build, before it does. */
  readonly onShard: (shard: string, left: readonly Building[]) => void;
  /** After each page. */
  readonly onFolded: (entries: number) => void;
}

export interface Prepared {
  readonly region: RegionName;
  readonly shard: string;
  readonly projections: readonly string[];
  readonly entries: number;
}

/**
 * @returns what was built; nothing when this program has the read models of the one that runs; null when the region was
 *   never started here
 * @throws CardumeError `conflict` when a projection cannot fold the log, `fenced` when another process builds the same
 */
export async function prepareRegion(options: PrepareOptions): Promise<Prepared[] | null> {
  const { host, dataFolder, region } = options;
  const folder = `${dataFolder}/${region}`;
  const files = await host.disk.list(folder).catch((): string[] => []);
  if (!files.includes('map.db')) return null;
  const prepared: Prepared[] = [];
  for (const shard of readMap(host, folder)?.shards ?? []) {
    const service = options.application.services.find((one) => one.service.name === shard.service)?.service;
    if (service !== undefined) prepared.push(...(await prepareShard(options, shard, service)));
  }
  return prepared;
}

async function prepareShard(
  options: PrepareOptions,
  shard: ShardOfMap,
  service: Service,
): Promise<Prepared[]> {
  const { host, topology, dataFolder, region } = options;
  const place = await placeOf(host, topology, dataFolder, region, shard);
  const source = await openBesideLog(host, logPlaceOf(place));
  try {
    const { projections } = service;
    const beside = await openBeside(host, place, projections, source);
    try {
      const upcasters = upcastersOf(service.aggregates);
      const preparation = await prepare(beside.readModels, projections, upcasters, source);
      const left = preparation.left();
      options.onShard(shard.name, left);
      const entries = entriesIn(left);
      if (entries === 0) return [];
      await fold(options, preparation);
      return [{ region, shard: shard.name, projections: left.map(({ projection }) => projection), entries }];
    } finally {
      await beside.close();
    }
  } finally {
    await source.close();
  }
}

async function fold({ host: { clock }, onFolded }: PrepareOptions, preparation: Preparation): Promise<void> {
  let left = entriesIn(preparation.left());
  for (let goesOn = true; goesOn; ) {
    const sinceMs = clock.monotonicMs();
    goesOn = await preparation.step();
    const now = entriesIn(preparation.left());
    onFolded(left - now);
    left = now;
    // The program that runs comes first.
    await clock.sleep(Math.min(REST_MS_MAX, (clock.monotonicMs() - sinceMs) * REST));
  }
}

const entriesIn = (left: readonly Building[]): number =>
  left.reduce((sum, { entriesLeft }) => sum + entriesLeft, 0);
