/** The quarantines of a region's shards, read a page at a time. */
import type { Shard } from '../../cqrs/shard.ts';
import type { Log } from '../../events/log.ts';
import type { Quarantined } from '../../events/quarantine.ts';
import { decodeToken, encodeToken } from '../../events/token.ts';
import type { ServiceName } from '../../topology/topology.ts';
import type { Cursor } from './cursor.ts';
import type { QuarantineScope } from './request.ts';

export type QuarantineShard = Pick<Shard, 'shown'> & { readonly log: Pick<Log, 'quarantine'> };

/** One shard's. */
export interface Shelf {
  readonly service: ServiceName;
  readonly name: string;
  readonly shard: QuarantineShard;
}

export const PAGE_ENTRIES = 1_000;

/** In order, from the cursor's on. */
export function shelvesIn(
  services: readonly ServiceName[],
  shardsOf: (service: ServiceName) => ReadonlyMap<string, QuarantineShard>,
  from: Cursor | null,
): Shelf[] {
  const all = services.toSorted().flatMap((service) => {
    const names = [...shardsOf(service).keys()].toSorted();
    return names.map(
      (name): Shelf => ({ service, name, shard: shardsOf(service).get(name) as QuarantineShard }),
    );
  });
  return from === null ? all : all.filter((shelf) => !isBefore(shelf, from));
}

/** Pages behind the token. */
export async function* pagesOf(
  { shard }: Shelf,
  partition: QuarantineScope['partition'],
  after: string | null,
): AsyncGenerator<readonly Quarantined[]> {
  let token = after ?? beginningOf(partition);
  for (;;) {
    const page = await shard.log.quarantine.list(token, PAGE_ENTRIES);
    const own = page.filter(({ entry }) => partition === null || entry.partition === partition);
    if (own.length > 0) yield own;
    if (own.length < PAGE_ENTRIES) return;
    token = (own.at(-1) as Quarantined).id;
  }
}

/** @returns undefined when it is not on this shelf @throws CardumeError `invalid-cursor` for what is no token */
export async function findOn({ shard }: Shelf, token: string): Promise<Quarantined | undefined> {
  const { position, ...at } = decodeToken(token);
  if (position === 0) return undefined;
  const [one] = await shard.log.quarantine.list(encodeToken({ ...at, position: position - 1 }), 1);
  return one?.id === token ? one : undefined;
}

/** A token before all entries of the partition; null: of all. */
export function beginningOf(partition: number | null): string | null {
  return partition === null ? null : encodeToken({ partition, epoch: 0, position: 0 });
}

type Named = Pick<Shelf, 'service' | 'name'>;

export const nameOf = ({ service, name }: Named): string => `${service}/${name}`;

export const isOf = (shelf: Named, cursor: Cursor | null): cursor is Cursor =>
  cursor !== null && nameOf(shelf) === nameOf(cursor);

function isBefore(a: Named, b: Named): boolean {
  return a.service === b.service ? a.name < b.name : a.service < b.service;
}

export function byShelf(found: readonly (readonly [Shelf, Quarantined])[]): [Shelf, Quarantined[]][] {
  const shelves = new Map<string, [Shelf, Quarantined[]]>();
  for (const [shelf, one] of found) {
    const own = shelves.get(nameOf(shelf)) ?? [shelf, []];
    shelves.set(nameOf(shelf), own);
    own[1].push(one);
  }
  return [...shelves.values()];
}
