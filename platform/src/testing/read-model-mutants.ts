/** Read models that break one rule each, in the SQL between engine and disk, to prove that the suite sees it. */

import { buildsOf, storedPlan, storedTables } from '../cqrs/builds.ts';
import { digestIn } from '../cqrs/sqlite/digest.ts';
import { openReadModels } from '../cqrs/sqlite/read-models.ts';
import { rowByKey } from '../cqrs/sqlite/rows.ts';
import type { Host } from '../host/host.ts';
import { shardReader } from '../sharding/reader.ts';
import type { Row, Table } from '../sharding/table.ts';
import { changedDisk, type StatementChange } from './changed-disk.ts';
import type { ReadModelsHarness } from './read-model-conformance.ts';

export interface ReadModelMutant {
  /** Cases of the suite that must fail: all of them, and no others. */
  readonly breaks: readonly string[];
  readonly sql: readonly StatementChange[];
}

const TOGETHER = 'rows and checkpoint stand together, or neither';
const WHOLE = 'a row is put whole, patched where it is, added to from nothing, and removed';
const APART = 'partitions keep their rows apart';
const FENCED = 'whoever has fallen behind another host moves no checkpoint, and leaves no row';
const ONE = 'of two who build the same, each page is one’s';
const PREPARED = 'whoever prepares a build leaves it alone once it follows the others';
const STRAY =
  'what was prepared of a partition that has moved away is gone when its build follows the others';
const LEFT = 'a projection that is left behind keeps its place, and comes back to the others';
const BYTES = 'texts and keys are what their bytes are';
const PREFIX = 'a prefix is a text, whatever its characters mean elsewhere';
const NULLS = 'NULL stands first, passes no comparison, and is counted apart';
const SUMS = 'sums are exact beyond what a number holds';
const PAGES = 'pages together are all rows, each once, also where they equal each other';
const CHANGED = 'a changed definition has tables and places of its own, and leaves what was';
const GOES = 'a partition that goes away leaves no row, in parts, and the others stay';
const DISCARDED =
  'what was folded beyond a position is discarded in parts, and counts for nothing from the first';
const ANOTHER = 'everything begins again when the log is another one';
const DIGEST = 'a digest is that of the rows, whatever their order, and of one partition';

export const readModelMutants: Readonly<Record<string, ReadModelMutant>> = {
  'rows stand before their checkpoint': {
    breaks: [TOGETHER, FENCED, ONE, PREPARED],
    sql: [
      ['BEGIN IMMEDIATE', 'SELECT 1'],
      [/^COMMIT$/, 'SELECT 1'],
      [/^ROLLBACK$/, 'SELECT 1'],
    ],
  },
  'a build that follows is prepared further': {
    breaks: [PREPARED],
    sql: [['WHERE name = ? AND apart = 1', 'WHERE name = ?']],
  },
  'a checkpoint moves from wherever it is': {
    breaks: [FENCED, ONE, DISCARDED],
    sql: [[/(UPDATE _folded SET .*) AND position = \?/, '$1 AND ? >= 0']],
  },
  'a put keeps what the row had': {
    breaks: [WHOLE, DIGEST],
    sql: [[/(ON CONFLICT .* DO UPDATE SET )"n" = excluded."n", .*/s, '$1"n" = excluded."n"']],
  },
  'a sum begins again': {
    breaks: [WHOLE, ONE],
    sql: [[/coalesce\([^)]*\) \+ /g, '']],
  },
  'what is discarded in parts is folded into in between': {
    breaks: [DISCARDED],
    sql: [['UPDATE _folded SET epoch = 0 WHERE', 'UPDATE _folded SET epoch = 0, position = 0 WHERE']],
  },
  'what is discarded keeps its rows': {
    breaks: [DISCARDED],
    sql: [['UPDATE _folded SET epoch = 0 WHERE', 'DELETE FROM _folded WHERE']],
  },
  'what was not folded beyond is discarded': {
    breaks: [DISCARDED],
    sql: [['epoch = 0 WHERE partition = ? AND position > ?', 'epoch = 0 WHERE partition = ? AND ? > 0']],
  },
  'a partition sees the rows of others': {
    breaks: [APART, GOES, DISCARDED],
    sql: [['"_partition" IN (', '0 NOT IN (']],
  },
  'keys and texts ignore case': {
    breaks: [BYTES, PREFIX],
    sql: [[/" TEXT/g, '" TEXT COLLATE NOCASE']],
  },
  'keys and texts lose the spaces behind them': {
    breaks: [BYTES],
    sql: [[/" TEXT/g, '" TEXT COLLATE RTRIM']],
  },
  'a prefix is a pattern': {
    breaks: [PREFIX],
    sql: [[/"name" >= \? AND "name" < \?/, `"name" LIKE ? || '%' AND ? IS NOT NULL`]],
  },
  'NULL stands last': {
    breaks: [NULLS, PAGES],
    sql: [[/ORDER BY ("n"|"name"),/, 'ORDER BY $1 NULLS LAST,']],
  },
  'a sum is a double': {
    breaks: [SUMS],
    sql: [[/SUM\(("size" [>&]+ \d+)\)/g, 'CAST(SUM($1 * 1.0) / 3 * 3 AS INTEGER)']],
  },
  'what equals the last row of a page is not told': {
    breaks: [PAGES],
    sql: [[/ORDER BY ("name", "n"|"name" DESC, "n"), "_partition", "id"/, 'ORDER BY $1, "id" DESC']],
  },
  'a projection that is left behind begins anew': {
    breaks: [LEFT, CHANGED, DISCARDED],
    sql: [[/INSERT INTO _folded \(.*SELECT .*/s, 'SELECT ?, ?']],
  },
  'a changed definition shares the place of the others': {
    breaks: [LEFT, CHANGED],
    sql: [['SELECT apart FROM', 'SELECT 0 AS apart FROM']],
  },
  'rows of a partition stay when it goes': {
    breaks: [GOES, STRAY, DISCARDED],
    sql: [[/^DELETE FROM "things_\w+" WHERE rowid .*/, 'SELECT ?, ?']],
  },
  'rows stay when the log is another one': {
    breaks: [ANOTHER],
    sql: [[/^DROP TABLE IF EXISTS .*/, 'SELECT 1']],
  },
  'a digest leaves a column out': {
    breaks: [DIGEST],
    sql: [
      [
        /SELECT "id", "n", "name", "size" FROM ([^ ]+) WHERE "_partition" = \?\s+ORDER/,
        `SELECT "id", "n", '' AS "name", "size" FROM $1 WHERE "_partition" = ? ORDER`,
      ],
    ],
  },
};

/** A harness over a mutant's files; it reads on this thread. */
export function mutantReadModels(host: Host, path: string, { sql }: ReadModelMutant): ReadModelsHarness {
  const changed = { ...host, disk: changedDisk(host.disk, sql) };
  const opened: { close(): void }[] = [];
  return {
    async open(projections, source, opening) {
      const readModels = await openReadModels(changed, path, projections, source, opening);
      opened.push(readModels);
      return {
        readModels,
        async close() {
          opened.splice(opened.indexOf(readModels), 1);
          readModels.close();
        },
      };
    },
    async read(projections) {
      const builds = buildsOf(host.crypto, projections);
      const tables = storedTables(builds);
      const views = changed.disk.database(path, { readOnly: true });
      const reader = shardReader(views);
      return {
        async row({ name }, partition, key) {
          const stored = tables.get(name) as Table;
          const row = views
            .prepare(rowByKey(stored))
            .get(partition, ...stored.key.map((one) => key[one] as string));
          return (row as Row | undefined) ?? null;
        },
        scan: async (plan) => reader.read(storedPlan(tables, plan)),
        digest: async (partition) => digestIn(host, views, { partition, builds }),
        close: async () => views.close(),
      };
    },
    async close() {
      // A case that failed has left some open.
      for (const one of opened) one.close();
    },
  };
}
