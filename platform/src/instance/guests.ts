/**
 * What a region holds of other regions' partitions, and what the topology's residency lets it hold. Where that has changed, the
 * copy is deleted with its keys and read models, and whatever may stand in its place is copied anew: a copy that was sealed
 * has no keys, and one that was whole has too many.
 */

import type { ShardMap } from '../sharding/shard-map.ts';
import { residencyIn } from '../topology/residency.ts';
import type { RegionName, Topology } from '../topology/topology.ts';
import type { Hosted } from './hosted.ts';

export interface GuestsGround {
  readonly topology: Topology;
  readonly here: RegionName;
  readonly hosted: Pick<Hosted, 'holder'>;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

const DROPPED_ROWS = 2_000;

/**
 * Before anything is followed.
 * @returns the map that says what is held; the given one when nothing has changed
 */
export async function guestsAsAllowed(ground: GuestsGround, map: ShardMap): Promise<ShardMap> {
  const { holding } = residencyIn(ground.topology);
  const held: Record<string, Record<string, 'sealed' | 'nothing'>> = {};
  let hasChanged = false;
  for (const [service, guests] of Object.entries(map.guests ?? {})) {
    const own: Record<string, 'sealed' | 'nothing'> = {};
    for (const key of Object.keys(guests)) {
      const before = map.held?.[service]?.[key] ?? 'whole';
      const wanted = holding(service, Number(key), ground.here);
      const isDone = before === wanted || (await isDropped(ground, service, Number(key)));
      const now = isDone ? wanted : before;
      if (now !== 'whole') own[key] = now;
      hasChanged ||= now !== before;
    }
    held[service] = own;
  }
  return hasChanged ? { ...map, version: map.version + 1, held } : map;
}

/** @returns false for what cannot be now: the next start tries again */
async function isDropped(
  { here, hosted, report }: GuestsGround,
  service: string,
  partition: number,
): Promise<boolean> {
  const shard = hosted.holder(service, partition);
  if (shard === undefined) return false;
  if (shard.log.head(partition) !== undefined) {
    report('a partition is at home where the topology lets it be held no more: switch it over', {
      region: here,
      service,
      partition,
    });
    return false;
  }
  while ((await shard.moving.drop(partition, DROPPED_ROWS)) === DROPPED_ROWS);
  return true;
}
