/** A read model equals the fold of its log, and so does a replica: the log is folded anew beside it, and rows are compared. */

import { buildsOf, storedTables } from 'cardume/cqrs/builds';
import { openProjector } from 'cardume/cqrs/projector';
import { openReadModels } from 'cardume/cqrs/sqlite/read-models';
import { upcastersOf } from 'cardume/cqrs/upcasting';
import { sqlite } from 'cardume/events/sqlite/sqlite';
import type { Database, SqlRow } from 'cardume/host/disk';
import { PARTITION_COLUMN, type Table } from 'cardume/sharding/table';
import type { OrderBook } from './orders.ts';
import type { Shelf } from './shelf.ts';

/**
 * @param replicas how many files each shard has
 * @param isHome of the shelf's partitions: replicas have no others
 */
export async function checkReadModels(
  shelf: Shelf,
  replicas: number,
  isHome: (partition: number) => boolean,
  wrong: (what: string) => void,
): Promise<void> {
  const { host, service, base, heads } = shelf;
  const log = await sqlite.openReader(host, { path: `${base}.log.db` });
  const source = { read: log.readPartition, heads: () => [...heads] };
  const path = `${base}.fold.db`;
  const readModels = await openReadModels(host, path, service.projections, source);
  const projector = openProjector(readModels, service.projections, upcastersOf(service.aggregates), source);
  await projector.catchUp();
  while (projector.building().length > 0) await projector.build();
  const tables = [...storedTables(readModels.builds).values()].map(({ name }) => name);
  const folded = host.disk.database(path, { readOnly: true });
  try {
    compare(folded, `${base}.views.db`, (all) => all);
    // Of what has moved away a replica may still have something: nobody is shown it.
    const homes = new Set(heads.map(({ partition }) => partition).filter(isHome));
    for (let n = 1; n <= (homes.size === 0 ? 0 : replicas); n += 1)
      compare(folded, `${base}.replica-${n}.db`, (all) =>
        all.filter((row) => homes.has(row[PARTITION_COLUMN] as number)),
      );
  } finally {
    folded.close();
    readModels.close();
    await log.close();
  }

  function compare(fold: Database, file: string, shown: (all: SqlRow[]) => SqlRow[]): void {
    const live = host.disk.database(file, { readOnly: true });
    try {
      for (const name of tables) {
        const [mine, theirs] = [texts(shown(rows(fold, name))), texts(shown(rows(live, name)))];
        const missing = mine.filter((row) => !theirs.includes(row));
        const more = theirs.filter((row) => !mine.includes(row));
        if (missing.length > 0) wrong(`${file}, table ${name}: it lacks ${missing.slice(0, 3).join(' ')}`);
        if (more.length > 0) wrong(`${file}, table ${name}: no fold makes ${more.slice(0, 3).join(' ')}`);
        if (mine.length !== theirs.length)
          wrong(`${file}, table ${name}: ${theirs.length} rows, a fold makes ${mine.length}`);
      }
    } finally {
      live.close();
    }
  }
}

/** A fold by the same projection would repeat its faults: the orders' own states are told apart from it. */
export function checkOrderRows(
  { host, service, base }: Shelf,
  books: ReadonlyMap<string, OrderBook>,
  wrong: (what: string) => void,
): void {
  const live = host.disk.database(`${base}.views.db`, { readOnly: true });
  const { name } = storedTables(buildsOf(host.crypto, service.projections)).get('orders') as Table;
  const seen = live.prepare(`SELECT id, status, total_e4 FROM "${name}"`).all();
  live.close();
  // A shelf holds other regions' rows as well: each order's row is the same wherever it stands.
  const seenIds = new Set(seen.map(({ id }) => id));
  const own = [...books.values()].filter(
    ({ id, partition }) => partition.startsWith(`${base} `) || seenIds.has(id),
  );
  if (seen.length !== own.length) wrong(`${base}: ${own.length} orders, and ${seen.length} rows`);
  for (const { id, status, total_e4 } of seen) {
    const state = books.get(id as string)?.state;
    if (state?.status !== status || state?.placed?.total_e4 !== total_e4)
      wrong(`${id} is ${state?.status}, and its row says ${status}`);
  }
}

const rows = (database: Database, table: string): SqlRow[] =>
  database.prepare(`SELECT * FROM "${table}"`).all();

const texts = (all: readonly SqlRow[]): string[] =>
  all.map((row) => JSON.stringify(row, (_, value) => (typeof value === 'bigint' ? String(value) : value)));
