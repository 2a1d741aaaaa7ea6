/** Regions' copies: each is its home's log, entry by entry, when everything has been followed. */
import { sameChecksum } from 'cardume/events/checksum';
import type { Entry } from 'cardume/events/log';
import type { HomeOf } from './homes.ts';
import type { Shelf } from './shelf.ts';

/** @returns the shelves with what is at home there alone */
export function atHome(
  shelves: readonly Shelf[],
  homeOf: HomeOf,
  wrong: (what: string) => void,
): readonly Shelf[] {
  const isHome = ({ region, service }: Shelf, partition: number): boolean =>
    homeOf(service.name, partition) === region;
  const homes = new Map<string, readonly Entry[]>();
  for (const shelf of shelves)
    for (const [partition, entries] of byPartition(shelf))
      if (isHome(shelf, partition)) homes.set(`${shelf.service.name}/${partition}`, entries);
  for (const shelf of shelves)
    for (const [partition, entries] of byPartition(shelf)) {
      if (isHome(shelf, partition)) continue;
      const home = homes.get(`${shelf.service.name}/${partition}`);
      const what = `${shelf.base}, the copy of ${homeOf(shelf.service.name, partition)}'s partition ${partition}`;
      if (home === undefined) wrong(`${what}: nobody is home to it`);
      else checkCopy(what, entries, home, wrong);
    }
  return shelves.map((shelf) => ({
    ...shelf,
    heads: shelf.heads.filter(({ partition }) => isHome(shelf, partition)),
    entries: shelf.entries.filter(({ partition }) => isHome(shelf, partition)),
  }));
}

function checkCopy(
  what: string,
  copy: readonly Entry[],
  home: readonly Entry[],
  wrong: (what: string) => void,
): void {
  if (copy.length !== home.length) wrong(`${what} has ${copy.length} entries, its home ${home.length}`);
  const at = copy.findIndex(({ checksum }, i) => !sameChecksum(checksum, home[i]?.checksum ?? NONE));
  if (at >= 0) wrong(`${what} parts from its home at position ${at + 1}`);
}

const NONE = new Uint8Array(16);

function byPartition({ heads, entries }: Shelf): Map<number, Entry[]> {
  const found = new Map<number, Entry[]>(heads.map(({ partition }) => [partition, []]));
  for (const entry of entries) found.get(entry.partition)?.push(entry);
  return found;
}
