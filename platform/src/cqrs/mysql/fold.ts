/**
 * A transaction of rows whose server is a round trip away. Projections read and write rows as if they were at hand; here
 * they are, in memory: what a fold touches is known from earlier folds, or it is wanted, loaded in one statement a
 * table, and the fold is made again from its beginning. At the end each touched row goes to the server once, whole.
 *
 * What is remembered is right as long as nobody else writes: whoever does has moved a checkpoint. That is found out before
 * any row is written, or when the checkpoints are read again, and then everything is forgotten.
 */
import { LRUCache } from 'lru-cache';
import { CardumeError } from '../../base/errors.ts';
import { again } from '../../database/mysql/again.ts';
import { insertRows } from '../../database/mysql/insert.ts';
import type { SqlRow, SqlValue } from '../../host/disk.ts';
import type { Clock } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import { quoted } from '../../sharding/mysql.ts';
import { PARTITION_COLUMN, type Row, type Table, type Value } from '../../sharding/table.ts';
import { type Build, storedTables } from '../builds.ts';
import { type KnownCheckpoints, refusedMove } from '../known-checkpoints.ts';
import { checkDeltas, checkPlace, checkRow, required } from '../row.ts';
import type { CheckpointMove, Fold, PartitionRows } from '../storage.ts';
import { builtSince } from '../stored-checkpoint.ts';
import { rowOf } from './rows-on.ts';

/** Rows of one table that are remembered between folds. */
const ROWS_CACHED_MAX = 20_000;
/** Of one statement. */
const ROWS_A_STATEMENT_MAX = 256;

/** A row as it stands, or that there is none. */
type Known = Row | null;

interface TableState {
  readonly table: Table;
  readonly columns: readonly string[];
  /** As the server has them. By partition and key. */
  readonly committed: LRUCache<string, { readonly row: Known }>;
  /** What this fold has wanted and got, whatever the cache has forgotten since. */
  readonly loaded: Map<string, Known>;
  /** As this fold has left them. */
  readonly touched: Map<string, { readonly place: readonly SqlValue[]; row: Known }>;
  readonly wanted: Map<string, readonly SqlValue[]>;
  readonly rows: PartitionRows;
}

/** What was wanted is not at hand. */
class Wanting extends Error {}

export function mysqlFold(
  clock: Clock,
  database: SqlDatabase,
  builds: readonly Build[],
  known: KnownCheckpoints,
): Fold & { begin(): void; forget(): void } {
  const tables = storedTables(builds);
  const states = new Map<string, TableState>([...tables].map(([name, table]) => [name, stateOf(table)]));
  const all = [...states.values()];

  /** From the beginning, with what is at hand by now. */
  function restart(): void {
    for (const { touched, wanted } of all) {
      touched.clear();
      wanted.clear();
    }
  }

  function begin(): void {
    restart();
    for (const { loaded } of all) loaded.clear();
  }

  function forget(): void {
    begin();
    for (const { committed } of all) committed.clear();
  }

  async function write(session: SqlSession, moves: readonly CheckpointMove[]): Promise<void> {
    await session.exec('START TRANSACTION');
    for (const [build, own] of Map.groupBy(moves, (one) => one.build)) {
      await checkApart(session, build);
      await moveAll(session, build, own);
    }
    for (const state of all) await writeRows(session, state);
    await session.exec('COMMIT');
  }

  return {
    begin,
    forget,
    rows: ({ name }) => (states.get(name) as TableState).rows,
    get isWanting() {
      return all.some(({ wanted }) => wanted.size > 0);
    },
    async load() {
      for (const state of all) await again(clock, () => loadInto(database, state));
      restart();
    },
    async commit(moves) {
      if (moves.length === 0) return;
      try {
        // Not done again when it fails: whether it stands, the checkpoints tell.
        await database.session((session) => write(session, moves));
      } catch (error) {
        forget();
        throw error;
      }
      for (const { committed, touched } of all)
        for (const [name, { row }] of touched) committed.set(name, { row });
      begin();
      known.moved(moves);
    },
    async undo() {
      begin();
    },
  };
}

/**
 * A build that follows the others has no place of its own any more, for whoever prepared it. `FOR UPDATE`, although it only
 * reads: TiDB refuses shared locks (its manual, "Pessimistic Transaction Mode"), and whoever folds one build queues anyway.
 */
async function checkApart(session: SqlSession, build: string): Promise<void> {
  if (build === '') return;
  const is = 'SELECT 1 FROM _builds WHERE name = ? AND apart = 1 FOR UPDATE';
  if ((await session.rows(is, [Buffer.from(build)])).length === 0) throw builtSince();
}

/**
 * In one statement, but for partitions whose first entries these are.
 * @throws CardumeError `fenced` when another host has moved one of them
 */
async function moveAll(session: SqlSession, build: string, moves: readonly CheckpointMove[]): Promise<void> {
  const name = Buffer.from(build);
  const on = moves.filter(({ from }) => from > 0);
  if (on.length > 0) {
    const all = filledUp(on);
    const cases = all.map(() => 'WHEN ? THEN ?').join(' ');
    const at = all.map(() => '(partition_key = ? AND position = ?)').join(' OR ');
    const { changes } = await session.run(
      `UPDATE _folded SET epoch = CASE partition_key ${cases} END, position = CASE partition_key ${cases} END
        WHERE build = ? AND (${at})`,
      [
        ...all.flatMap(({ partition, epoch }) => [partition, epoch]),
        ...all.flatMap(({ partition, to }) => [partition, to]),
        name,
        ...all.flatMap(({ partition, from }) => [partition, from]),
      ],
    );
    if (changes !== on.length) throw await refusedOf(session, name, on);
  }
  for (const one of moves) if (one.from === 0) await moveFirst(session, name, one);
}

/** Those that have moved show where they are now. */
async function refusedOf(
  session: SqlSession,
  build: Uint8Array,
  moves: readonly CheckpointMove[],
): Promise<CardumeError> {
  const rows = await session.rows('SELECT partition_key, position FROM _folded WHERE build = ?', [build]);
  const stands = ({ partition, to }: CheckpointMove): boolean =>
    rows.some((row) => row['partition_key'] === partition && row['position'] === to);
  return new CardumeError(
    'fenced',
    refusedMove(moves.find((one) => !stands(one)) ?? (moves[0] as CheckpointMove)),
  );
}

async function moveFirst(session: SqlSession, build: Uint8Array, one: CheckpointMove): Promise<void> {
  const { partition, epoch, to } = one;
  const { changes } = await session.run(
    'UPDATE _folded SET epoch = ?, position = ? WHERE build = ? AND partition_key = ? AND position = 0',
    [epoch, to, build, partition],
  );
  if (changes === 1) return;
  const begun = await session.run(
    'INSERT IGNORE INTO _folded (build, partition_key, epoch, position) VALUES (?, ?, ?, ?)',
    [build, partition, epoch, to],
  );
  if (begun.changes !== 1) throw new CardumeError('fenced', refusedMove(one));
}

function stateOf(table: Table): TableState {
  const committed = new LRUCache<string, { readonly row: Known }>({ max: ROWS_CACHED_MAX });
  const loaded: TableState['loaded'] = new Map();
  const touched: TableState['touched'] = new Map();
  const wanted: TableState['wanted'] = new Map();
  let partition = 0;

  const placeOf = (key: Row): SqlValue[] => [
    partition,
    ...table.key.map((column) => required(table, key, column)),
  ];

  /** Undefined: it is not at hand, and wanted from now on. */
  function look(place: readonly SqlValue[], name: string): Known | undefined {
    const here = touched.get(name) ?? committed.get(name);
    if (here !== undefined) return here.row;
    const row = loaded.get(name);
    if (row === undefined) wanted.set(name, place);
    return row;
  }

  /** Without the row nothing is changed: the fold is made again. */
  function change(key: Row, changed: (row: Known) => Known): void {
    const place = placeOf(key);
    const name = nameOf(place);
    const before = look(place, name);
    if (before === undefined) return;
    const row = changed(before);
    if (row !== before) touched.set(name, { place, row });
  }

  const rows: PartitionRows = {
    at(of) {
      partition = of;
    },
    put(row) {
      checkRow(table, row);
      checkPlace(table, row, partition);
      const place = placeOf(row);
      touched.set(nameOf(place), { place, row: { ...row } });
    },
    patch(key, changes) {
      checkRow(table, changes);
      checkPlace(table, changes, partition);
      change(key, (row) => (row === null ? null : { ...row, ...changes }));
    },
    add(key, deltas) {
      checkDeltas(table, deltas);
      checkPlace(table, key, partition);
      change(key, (row) => {
        const sums: Record<string, Value> = { ...(row ?? keyOf(table, key)) };
        for (const [column, by] of Object.entries(deltas)) sums[column] = Number(sums[column] ?? 0) + by;
        checkRow(table, sums);
        return sums;
      });
    },
    remove(key) {
      const place = placeOf(key);
      touched.set(nameOf(place), { place, row: null });
    },
    get(key) {
      const place = placeOf(key);
      const row = look(place, nameOf(place));
      if (row === undefined) throw new Wanting(`a row of '${table.name}' is not at hand`);
      return row === null ? undefined : whole(table, row);
    },
  };
  return { table, columns: Object.keys(table.columns), committed, loaded, touched, wanted, rows };
}

const nameOf = (place: readonly SqlValue[]): string => JSON.stringify(place.map(String));

function keyOf(table: Table, key: Row): Row {
  return Object.fromEntries(table.key.map((column) => [column, key[column] as Value]));
}

/** With NULL for what it does not have, in the order of the table. */
function whole(table: Table, row: Row): Row {
  return Object.fromEntries(Object.keys(table.columns).map((column) => [column, row[column] ?? null]));
}

async function loadInto(
  database: SqlDatabase,
  { table, columns, committed, loaded, wanted }: TableState,
): Promise<void> {
  const keyColumns = [PARTITION_COLUMN, ...table.key].map(quoted);
  const places = [...wanted.values()];
  const found = new Map<string, Row>();
  for (let i = 0; i < places.length; i += ROWS_A_STATEMENT_MAX) {
    const some = filledUp(places.slice(i, i + ROWS_A_STATEMENT_MAX));
    const any = some.map(() => `(${keyColumns.map((column) => `${column} = ?`).join(' AND ')})`).join(' OR ');
    const rows = await database.rows(
      `SELECT ${[PARTITION_COLUMN, ...columns].map(quoted).join(', ')} FROM ${quoted(table.name)} WHERE ${any}`,
      some.flat(),
    );
    for (const cells of rows) {
      const row = rowOf(table, cells);
      const place = [partitionOf(cells), ...table.key.map((column) => row[column] as SqlValue)];
      found.set(nameOf(place), row);
    }
  }
  for (const name of wanted.keys()) {
    const row = found.get(name) ?? null;
    loaded.set(name, row);
    committed.set(name, { row });
  }
}

/** To a power of two with the last one: what is named twice is found once, and few statements are prepared. */
function filledUp<T>(some: readonly T[]): readonly T[] {
  const size = 2 ** Math.ceil(Math.log2(some.length));
  return [...some, ...Array.from({ length: size - some.length }, () => some.at(-1) as T)];
}

const partitionOf = (cells: SqlRow): number => cells[PARTITION_COLUMN] as number;

async function writeRows(session: SqlSession, { table, columns, touched }: TableState): Promise<void> {
  const all = [...touched.values()];
  const put = all.filter(({ row }) => row !== null);
  const gone = all.filter(({ row }) => row === null);
  const names = [PARTITION_COLUMN, ...columns].map(quoted);
  const values = columns.filter((column) => !table.key.includes(column)).map(quoted);
  const [first] = names as [string];
  const update =
    values.length === 0
      ? `${first} = ${first}`
      : values.map((name) => `${name} = VALUES(${name})`).join(', ');
  const cells = put.map(({ place: [partition], row }): SqlValue[] => [
    partition as SqlValue,
    ...columns.map((column) => (row as Row)[column] ?? null),
  ]);
  await insertRows(session, quoted(table.name), names, cells, `ON DUPLICATE KEY UPDATE ${update}`);
  const keyColumns = [PARTITION_COLUMN, ...table.key].map(quoted);
  const one = `(${keyColumns.map((column) => `${column} = ?`).join(' AND ')})`;
  for (let at = 0; at < gone.length; ) {
    const size = sizeOf(gone.length - at);
    const some = gone.slice(at, at + size);
    await session.run(
      `DELETE FROM ${quoted(table.name)} WHERE ${some.map(() => one).join(' OR ')}`,
      some.flatMap(({ place }) => place),
    );
    at += size;
  }
}

/** Few sizes, so that each statement is prepared once. */
function sizeOf(left: number): number {
  return [64, 16, 4].find((size) => size <= left) ?? 1;
}
