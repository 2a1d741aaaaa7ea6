/**
 * Runs plans on shards' SQLite files, of which one connection may have several. Every call blocks its thread: scans
 * belong into a reader thread.
 */
import { LRUCache } from 'lru-cache';
import { rollBack } from '../database/sqlite/transaction.ts';
import type { Database, Statement } from '../host/disk.ts';
import { openMeter } from './bytes.ts';
import type { Plan } from './plan.ts';
import { groupsOf, rowsMax, type Sql, selectGroups, selectRows } from './sql.ts';
import { sqliteIn } from './sqlite.ts';
import type { Value } from './table.ts';
import { selectTogether, termsByIndex } from './together-sql.ts';

export interface ShardReader {
  /** What SQL calls its shards. */
  readonly schemas: readonly string[];
  /**
   * @returns rows of `plan.columns`: up to `plan.fetch` in the plan's order, or the shard's part of each group
   * @throws CardumeError `query-refused` when they take more memory than a query may
   */
  read(plan: Plan, schema?: string): Value[][];
  /** Rows of one statement after another; whoever stops early ends it. */
  rows(statements: readonly Sql[]): Generator<Value[], void, undefined>;
  /** Whatever `work` reads is of one moment: that of the snapshot around it, if it is within one. */
  snapshot<T>(work: () => T): T;
  /** How to read its shards as one list. @param selects of the plan, from one shard */
  together(plan: Plan, selects: readonly Sql[]): Together;
}

export interface Together {
  /** How many of the plan's order an index gives: the list is in these. */
  readonly terms: number;
  /** Of rows with their shard's place in `schemas` behind the plan's columns; none without terms. */
  readonly selects: readonly Sql[];
}

const STATEMENTS_CACHED_MAX = 200;
const MAIN = 'main';

/** @param database its connection must not be within a transaction: a read of several statements opens one */
export function shardReader(database: Database, schemas: readonly string[] = [MAIN]): ShardReader {
  const statements = new LRUCache<string, Statement>({ max: STATEMENTS_CACHED_MAX });
  const lists = new LRUCache<string, { terms: number; texts: readonly string[] }>({
    max: STATEMENTS_CACHED_MAX,
  });
  let isWithin = false;

  function prepared(text: string): Statement {
    let statement = statements.get(text);
    if (statement === undefined) {
      statement = database.prepare(text);
      statements.set(text, statement);
    }
    return statement;
  }

  /** Statements one after another, until there are as many rows as are wanted. */
  function cellsOf(plan: Plan, selects: readonly Sql[], hasBigInts: boolean): Value[][] {
    const read: Value[][] = [];
    const meter = openMeter();
    for (const { text, values } of selects) {
      const wanted = rowsMax(plan) - read.length;
      if (wanted === 0) break;
      const statement = hasBigInts ? prepared(text).readBigInts() : prepared(text);
      for (const row of statement.iterate(...values, wanted)) {
        const cells = Object.values(row) as Value[];
        meter.add([cells]);
        read.push(cells);
      }
    }
    return read;
  }

  function all(plan: Plan, schema: string): Value[][] {
    const dialect = sqliteIn(schema);
    if (plan.aggregate === null) return cellsOf(plan, selectRows(plan, dialect), false);
    return groupsOf(plan, dialect, cellsOf(plan, selectGroups(plan, dialect), true));
  }

  function snapshot<T>(work: () => T): T {
    if (isWithin) return work();
    prepared('BEGIN').run();
    isWithin = true;
    try {
      const read = work();
      prepared('COMMIT').run();
      return read;
    } catch (error) {
      rollBack(database);
      throw error;
    } finally {
      isWithin = false;
    }
  }

  return {
    schemas,
    snapshot,
    read: (plan, schema = MAIN) =>
      plan.after === null ? all(plan, schema) : snapshot(() => all(plan, schema)),
    *rows(selects) {
      for (const { text, values } of selects)
        for (const row of prepared(text).iterate(...values)) yield Object.values(row) as Value[];
    },
    together(plan, selects) {
      const key = selects.map(({ text }) => text).join(';');
      let known = lists.get(key);
      if (known === undefined) {
        const terms = termsByIndex(database, plan, schemas[0] as string);
        known = {
          terms,
          texts: terms === 0 ? [] : selectTogether(plan, schemas, terms).map(({ text }) => text),
        };
        lists.set(key, known);
      }
      const { terms, texts } = known;
      return { terms, selects: texts.map((text, i) => ({ text, values: (selects[i] as Sql).values })) };
    },
  };
}
