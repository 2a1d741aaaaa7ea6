import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import type { Plan } from './plan.ts';
import type { Query, QueryResult, UnionAll } from './query.ts';
import { shardReader } from './reader.ts';
import { scatter } from './scatter.ts';
import { createTable } from './sqlite.ts';
import type { Table } from './table.ts';
import { planUnion } from './union.ts';

const host = realHost();
const orders: Table = {
  name: 'orders',
  columns: { id: 'text', total: 'integer', rate: 'real' },
  key: ['id'],
  indexes: [],
};
const refunds: Table = {
  name: 'refunds',
  columns: { refund: 'text', amount: 'integer', note: 'text' },
  key: ['refund'],
  indexes: [],
};
const tableOf = (_service: string, name: string): Table | undefined =>
  [orders, refunds].find((table) => table.name === name);
const part = { service: 'orders', table: 'orders', select: ['id', 'total'] } as const;
const other = { service: 'orders', table: 'refunds', select: ['refund', 'amount'] } as const;

function refused(union: unknown, reason: RegExp): void {
  assert.throws(
    () => planUnion(union as UnionAll, tableOf),
    (error) => isCardumeError(error, 'query-refused') && reason.test(error.message),
    `${JSON.stringify(union)} is refused since ${reason}`,
  );
}

describe('planUnion', () => {
  it('refuses what does not fit together, and says why', () => {
    refused({ unionAll: [part] }, /expected 2 to 8 queries, got 1/);
    refused({ unionAll: Array(9).fill(part) }, /expected 2 to 8 queries, got 9/);
    refused(
      { unionAll: [part, { ...other, select: ['refund'] }] },
      /first query has 2 columns, query 2 has 1/,
    );
    refused(
      { unionAll: [part, { ...other, select: ['refund', 'note'] }] },
      /'note' of query 2 is text, 'total' of the first is integer/,
    );
    refused({ unionAll: [part, { ...other, limit: 5 }] }, /query 2 has limit; it is for the whole union/);
    refused({ unionAll: [{ ...part, orderBy: [] }, other] }, /query 1 has orderBy/);
    refused({ unionAll: [part, { ...other, table: 'nothing' }] }, /no table 'nothing'/);
    refused(
      { unionAll: [part, other], orderBy: [{ column: 'amount', direction: 'ascending' }] },
      /'amount' is not a column of the first query; they are id, total/,
    );
    refused({ unionAll: [part, other], limit: 0 }, /limit: expected/);
    refused({ unionAll: [part, other], offset: 3, after: 'x' }, /not together with after/);
  });

  it('takes a cursor only for the list that gave it', async () => {
    const union: UnionAll = { unionAll: [part, other], limit: 1 };
    const { next } = await ask(union);
    assert.ok(next !== null);
    const others: UnionAll[] = [
      { ...union, unionAll: [other, part] },
      { ...union, unionAll: [part, other, other] },
      { ...union, orderBy: [{ column: 'total', direction: 'ascending' }] },
    ];
    for (const one of [...others.map((of) => ({ ...of, after: next })), { ...union, after: 'x' }]) {
      assert.throws(
        () => planUnion(one, tableOf),
        (error) => isCardumeError(error, 'invalid-cursor'),
      );
    }
    const single: Query = { ...part, after: next };
    await assert.rejects(ask(single), (error) => isCardumeError(error, 'invalid-cursor'));
  });
});

describe('a union', () => {
  it('keeps the order of its queries where rows are equal, page by page', async () => {
    const union: UnionAll = {
      unionAll: [part, other],
      orderBy: [{ column: 'total', direction: 'descending' }],
      limit: 2,
    };
    const pages: QueryResult[] = [await ask(union)];
    for (let last = pages.at(-1); last !== undefined && last.next !== null; last = pages.at(-1))
      pages.push(await ask({ ...union, after: last.next }));
    assert.deepEqual(
      pages.map(({ rows }) => rows.map(({ id, total }) => `${id} ${total}`)),
      [
        ['o2 7', 'o3 5'],
        ['o1 5', 'r2 5'],
        ['r1 5', 'r3 null'],
      ],
    );
    assert.deepEqual(
      (await ask({ ...union, offset: 3 })).rows,
      pages.flatMap(({ rows }) => rows).slice(3, 5),
    );
  });

  it('counts the rows of all its queries', async () => {
    const wide = { unionAll: Array(8).fill(part) as UnionAll['unionAll'], limit: 1_000 };
    const shards = Array.from({ length: 13 }, (_, i) => i);
    await assert.rejects(
      scatter(wide, tableOf, shards, async () => []),
      (error) =>
        isCardumeError(error, 'query-refused') && /over 104 shards .* at most 960 rows/.test(error.message),
    );
  });
});

function ask(query: Query | UnionAll): Promise<QueryResult> {
  const databases = [0, 1].map((shard) => {
    const database = host.disk.database(':memory:');
    for (const sql of [orders, refunds].flatMap(createTable)) database.exec(sql);
    if (shard === 0) {
      database.exec("INSERT INTO orders VALUES (0, 'o1', 5, 1), (0, 'o2', 7, 1)");
      database.exec("INSERT INTO refunds VALUES (0, 'r2', 5, ''), (0, 'r3', NULL, '')");
      database.exec("UPDATE refunds SET _partition = 2 WHERE refund = 'r2'");
    } else {
      database.exec("INSERT INTO orders VALUES (1, 'o3', 5, 1)");
      database.exec("INSERT INTO refunds VALUES (1, 'r1', 5, '')");
    }
    return database;
  });
  return scatter(query, tableOf, databases, async (database, plan: Plan) => shardReader(database).read(plan));
}
