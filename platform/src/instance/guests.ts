/**
 * What a region holds of other regions' partitions, and what the topology's residency lets it hold. Where that has changed, the
 * copy is deleted with its keys and read models, and whatever may stand in its place is copied anew: a copy that was sealed
 * has no keys, and one that was whole has too many. That it is being deleted stands in the map before: whatever the topology
 * says when that was cut off, no copy with a part missing is followed.
 */

import type { HeldGuest, ShardMap } from '../sharding/shard-map.ts';
import { type Holding, residencyIn } from '../topology/residency.ts';
import type { RegionName, ServiceName, Topology } from '../topology/topology.ts';
import type { Hosted } from './hosted.ts';

export interface GuestsGround {
  readonly topology: Topology;
  readonly here: RegionName;
  readonly hosted: Pick<Hosted, 'holder'>;
  /** The map, for good. */
  readonly save: (map: ShardMap) => void;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

interface Guest {
  readonly service: ServiceName;
  readonly partition: number;
  readonly held: Holding | 'dropping';
  readonly wanted: Holding;
}

const DROPPED_ROWS = 2_000;

/**
 * Before anything is followed.
 * @returns the map that says what is held; the given one when nothing has changed
 */
export async function guestsAsAllowed(ground: GuestsGround, map: ShardMap): Promise<ShardMap> {
  const { hosted, save } = ground;
  const going = guestsOf(ground, map).filter((guest) => guest.held !== guest.wanted && mayGo(ground, guest));
  if (going.length === 0) return map;
  const begun = withHeld(map, going, () => 'dropping');
  save(begun);
  for (const { service, partition } of going) {
    const shard = hosted.holder(service, partition);
    while ((await shard?.moving.drop(partition, DROPPED_ROWS)) === DROPPED_ROWS);
  }
  const ended = withHeld(begun, going, ({ wanted }) => wanted);
  save(ended);
  return ended;
}

function guestsOf({ topology, here }: GuestsGround, { guests = {}, held }: ShardMap): readonly Guest[] {
  const { holding } = residencyIn(topology);
  return Object.entries(guests).flatMap(([service, names]) =>
    Object.keys(names).map((key) => ({
      service,
      partition: Number(key),
      held: held?.[service]?.[key] ?? 'whole',
      wanted: holding(service, Number(key), here),
    })),
  );
}

/** What cannot go now: the next start tries again. */
function mayGo({ here, hosted, report }: GuestsGround, { service, partition }: Guest): boolean {
  const shard = hosted.holder(service, partition);
  if (shard === undefined) return false;
  if (shard.log.head(partition) === undefined) return true;
  report('a partition is at home where the topology lets it be held no more: switch it over', {
    region: here,
    service,
    partition,
  });
  return false;
}

function withHeld(
  map: ShardMap,
  guests: readonly Guest[],
  heldOf: (guest: Guest) => HeldGuest | 'whole',
): ShardMap {
  const held: Record<string, Record<string, HeldGuest>> = {};
  for (const service of Object.keys(map.guests ?? {})) held[service] = { ...map.held?.[service] };
  for (const guest of guests) {
    const own = held[guest.service] as Record<string, HeldGuest>;
    const now = heldOf(guest);
    if (now === 'whole') delete own[guest.partition];
    else own[guest.partition] = now;
  }
  return { ...map, version: map.version + 1, held };
}
