/** Runs plans on one shard's SQLite file. Every call blocks its thread: scans belong into a reader thread. */
import { LRUCache } from 'lru-cache';
import { rollBack } from '../events/sqlite/transaction.ts';
import type { Database, Statement } from '../host/disk.ts';
import { openMeter } from './bytes.ts';
import type { Plan } from './plan.ts';
import { groupsOf, rowsMax, type Sql, selectGroups, selectRows } from './sql.ts';
import { sqlite } from './sqlite.ts';
import type { Value } from './table.ts';

export interface ShardReader {
  /**
   * @returns rows of `plan.columns`: up to `plan.fetch` in the plan's order, or the shard's part of each group
   * @throws CardumeError `query-refused` when they take more memory than a query may
   */
  read(plan: Plan): Value[][];
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

  function rows(plan: Plan): Value[][] {
    if (plan.aggregate === null) return cellsOf(plan, selectRows(plan, sqlite), false);
    return groupsOf(plan, sqlite, cellsOf(plan, selectGroups(plan, sqlite), true));
  }

  return {
    read(plan) {
      if (plan.after === null) return rows(plan);
      database.exec('BEGIN');
      try {
        const read = rows(plan);
        database.exec('COMMIT');
        return read;
      } catch (error) {
        rollBack(database);
        throw error;
      }
    },
  };
}
