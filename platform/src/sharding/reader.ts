/** Runs plans on one shard's SQLite file. Every call blocks its thread: scans belong into a reader thread. */
import { LRUCache } from 'lru-cache';
import { rollBack } from '../events/sqlite/transaction.ts';
import type { Database, Statement } from '../host/disk.ts';
import { openMeter } from './bytes.ts';
import { mergeLists } from './merge-lists.ts';
import { type Plan, rowOrder } from './plan.ts';
import { groupsOf, rowsMax, type Sql, selectGroups, selectRows } from './sql.ts';
import { sqlite } from './sqlite.ts';
import type { Value } from './table.ts';

export interface ShardReader {
  /**
   * @param check of the snapshot that is read, before it is: false, and nothing is read
   * @returns rows of `plan.columns`: up to `plan.fetch` in the plan's order, or the shard's part of each group; null when
   *   its check says no
   * @throws CardumeError `query-refused` when they take more memory than a query may
   */
  read(plan: Plan): Value[][];
  read(plan: Plan, check: () => boolean): Value[][] | null;
  /** The same rows of a plan without groups, one at a time; whoever stops early ends it. @param statements of the plan */
  rows(plan: Plan, statements: readonly Sql[]): Generator<Value[], void, undefined>;
}

/**
 * Of several shards that are asked for the same rows: each one's part of the plan's first `fetch`, and no more. What is
 * read is the answer and a head of each shard.
 */
export function readTogether(plan: Plan, shards: readonly ShardReader[]): Value[][][] {
  if (plan.aggregate !== null || shards.length === 1) return shards.map((shard) => shard.read(plan));
  const statements = selectRows(plan, sqlite);
  const parts: Value[][][] = shards.map(() => []);
  const lists: Generator<Value[], void, undefined>[] = [];
  try {
    for (const shard of shards) lists.push(shard.rows(plan, statements));
    const meter = openMeter();
    for (const { item, from } of mergeLists(lists, rowOrder(plan), plan.fetch)) {
      meter.add([item]);
      parts[from]?.push(item);
    }
  } finally {
    for (const list of lists) list.return();
  }
  return parts;
}

const STATEMENTS_CACHED_MAX = 200;

/** @param database its connection must not be within a transaction: a read of several statements opens one */
export function shardReader(database: Database): ShardReader {
  const statements = new LRUCache<string, Statement>({ max: STATEMENTS_CACHED_MAX });
  function prepared(text: string): Statement {
    let statement = statements.get(text);
    if (statement === undefined) {
      statement = database.prepare(text);
      statements.set(text, statement);
    }
    return statement;
  }

  /** Statements one after another, until there are as many rows as are wanted. */
  function cellsOf(plan: Plan, statements: readonly Sql[], hasBigInts: boolean): Value[][] {
    const read: Value[][] = [];
    const meter = openMeter();
    for (const { text, values } of statements) {
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

  function all(plan: Plan): Value[][] {
    if (plan.aggregate === null) return cellsOf(plan, selectRows(plan, sqlite), false);
    return groupsOf(plan, sqlite, cellsOf(plan, selectGroups(plan, sqlite), true));
  }

  return {
    read(plan: Plan, check?: () => boolean): Value[][] {
      if (plan.after === null && check === undefined) return all(plan);
      database.exec('BEGIN');
      try {
        const read = check?.() === false ? null : all(plan);
        database.exec('COMMIT');
        return read as Value[][];
      } catch (error) {
        rollBack(database);
        throw error;
      }
    },
    *rows(plan, statements) {
      const isMany = statements.length > 1;
      let left = rowsMax(plan);
      let hasFailed = false;
      if (isMany) prepared('BEGIN').run();
      try {
        for (const { text, values } of statements) {
          if (left === 0) return;
          for (const row of prepared(text).iterate(...values, left)) {
            left -= 1;
            yield Object.values(row) as Value[];
          }
        }
      } catch (error) {
        hasFailed = true;
        throw error;
      } finally {
        if (isMany && hasFailed) rollBack(database);
        else if (isMany) prepared('COMMIT').run();
      }
    },
  };
}
