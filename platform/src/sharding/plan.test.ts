import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { cursorOf, type Plan, planQuery } from './plan.ts';
import type { Join, Query } from './query.ts';
import type { Table } from './table.ts';

const table: Table = {
  name: 'orders',
  columns: { id: 'text', total: 'integer', rate: 'real', lines: 'json', note: 'text' },
  key: ['id'],
  indexes: [],
};
const query: Query = { service: 'orders', table: 'orders' };

const planned = (asked: Query): Plan => planQuery(asked, () => table).plan;

function refused(changes: Partial<Query> | Record<string, unknown>, reason: RegExp): void {
  assert.throws(
    () => planned({ ...query, ...changes } as Query),
    (error) => isCardumeError(error, 'query-refused') && reason.test(error.message),
    `${JSON.stringify(changes)} is refused since ${reason}`,
  );
}

describe('planQuery', () => {
  it('makes the order total, in the direction of the last column', () => {
    const { order, columns, shown } = planned({
      ...query,
      select: ['note'],
      orderBy: [{ column: 'total', direction: 'descending' }],
    });
    assert.deepEqual(columns, ['note', 'total', '_partition', 'id']);
    assert.equal(shown, 1);
    assert.deepEqual(
      order.map(({ column, descending, nullable }) => [column, descending, nullable]),
      [
        ['total', true, true],
        ['_partition', true, false],
        ['id', true, false],
      ],
    );
  });

  it('refuses what it cannot answer rightly, and says why', () => {
    refused({ where: [{ column: 'nothing', op: '=', value: 1 }] }, /no column 'nothing'; it has id, total/);
    refused({ where: [{ column: '_partition', op: '=', value: 1 }] }, /no column '_partition'/);
    refused({ where: [{ column: 'toString', op: '=', value: 1 }] }, /no column 'toString'/);
    refused({ where: [{ column: 'id', op: 'like', value: 'a' }] }, /no operator 'like'/);
    refused({ where: [{ column: 'id', op: '=', value: 1 }] }, /expected text for 'id', got number/);
    refused({ where: [{ column: 'id', op: '=', value: '\ud800' }] }, /well-formed/);
    refused({ where: [{ column: 'total', op: '=', value: '1' }] }, /expected a finite number/);
    refused({ where: [{ column: 'total', op: '<', value: Number.NaN }] }, /expected a finite number/);
    refused({ where: [{ column: 'total', op: 'prefix', value: '1' }] }, /prefix is for text/);
    refused({ where: [{ column: 'lines', op: '=', value: '[]' }] }, /json/);
    refused({ where: [{ column: 'id', op: 'in', value: Array(1001).fill('a') }] }, /at most 1000 values/);
    refused({ where: Array(51).fill({ column: 'id', op: 'is-null' }) }, /at most 50 filters/);
    refused({ select: [] }, /at least one column/);
    refused({ select: ['_partition'] }, /no column/);
    refused({ orderBy: [{ column: 'lines', direction: 'ascending' }] }, /no order/);
    refused({ orderBy: Array(2).fill({ column: 'id', direction: 'ascending' }) }, /twice/);
    for (const limit of [0, 1001, 1.5, Number.NaN])
      refused({ limit }, /limit: expected a whole number from 1 to 1000/);
    refused({ partitions: [-1] }, /place keys/);
    const aggregate = { groupBy: ['note'], columns: { n: { count: '*' } } };
    refused({ aggregate, select: ['id'] }, /not together with aggregate/);
    refused({ aggregate, orderBy: [{ column: 'id', direction: 'ascending' }] }, /not an output column/);
    refused({ aggregate: { groupBy: ['rate'], columns: {} } }, /no exact equality/);
    refused({ aggregate: { groupBy: [], columns: {} } }, /expected a group column/);
    refused({ aggregate: { groupBy: [], columns: { n: { average: 'rate' } } } }, /integer columns only/);
    refused({ aggregate: { groupBy: [], columns: { n: { min: 'lines' } } } }, /json, which has no order/);
    refused({ aggregate: { groupBy: [], columns: { n: { countDistinct: 'rate' } } } }, /no exact equality/);
    refused({ aggregate: { groupBy: [], columns: { n: { count: 'nothing' } } } }, /no column 'nothing'/);
    const having = [{ column: 'total', op: '>', value: 1 }];
    refused({ aggregate: { ...aggregate, having } }, /having: 'total' is not an output column; they are n/);
    refused(
      { aggregate: { ...aggregate, having: [{ column: 'n', op: '=', value: 'a' }] } },
      /a finite number/,
    );
    refused({ aggregate, distinct: true }, /not together with aggregate/);
    refused({ distinct: true, select: ['rate'] }, /no exact equality/);
    for (const offset of [-1, 0.5, 10_001])
      refused({ offset }, /offset: expected a whole number from 0 to 10000/);
    refused({ offset: 1, after: 'x' }, /offset: not together with after/);
    refused({ aggregate: { groupBy: [], columns: { n: { sum: 'rate' } } } }, /integer columns only/);
    refused({ aggregate: { groupBy: ['note'], columns: { note: { count: '*' } } } }, /group column already/);
    refused({ aggregate: { groupBy: [], columns: { __proto__x: { count: '*' } } } }, /not a name/);
  });

  it('takes a cursor only for the list that gave it', () => {
    const list: Query = { ...query, orderBy: [{ column: 'total', direction: 'ascending' }] };
    const plan = planned({ ...list, limit: 5 });
    const row = plan.columns.map((column) => (column === 'id' ? 'a' : column === '_partition' ? 1025 : null));
    const after = cursorOf(plan, row);
    assert.deepEqual(planned({ ...list, limit: 7, select: ['note'], after }).after, [null, 1025, 'a']);

    const ofAnother: Query[] = [
      query,
      { ...list, service: 'users' },
      { ...list, where: [{ column: 'note', op: 'is-null' }] },
      { ...list, orderBy: [{ column: 'total', direction: 'descending' }] },
      { ...list, partitions: [1025] },
      { ...list, region: 'us-east' },
    ];
    for (const other of ofAnother) {
      assert.throws(
        () => planned({ ...other, after }),
        (error) => isCardumeError(error, 'invalid-cursor'),
      );
    }
    const changed = planned(list);
    const forged = cursorOf(
      changed,
      row.map((value) => (value === 'a' ? 3 : value)),
    );
    for (const text of ['', 'x', '💥', after.slice(1), `${after}AAAA`, forged, btoa('[]'), btoa('{"a":1}')]) {
      assert.throws(
        () => planned({ ...list, after: text }),
        (error) => isCardumeError(error, 'invalid-cursor'),
        text,
      );
    }
  });

  describe('with joins', () => {
    const lines: Table = {
      name: 'lines',
      columns: { order: 'text', n: 'integer', sku: 'text', price: 'real' },
      key: ['order', 'n'],
      indexes: [],
      shardedBy: 'order',
    };
    const skus: Table = {
      name: 'skus',
      columns: { sku: 'text', title: 'text', data: 'json' },
      key: ['sku'],
      indexes: [],
    };
    const tables: Record<string, Table> = {
      'orders/orders': { ...table, shardedBy: 'id' },
      'orders/lines': lines,
      'products/skus': skus,
    };
    const tableOf = (service: string, name: string) => tables[`${service}/${name}`];
    const beside: Join = { type: 'left', table: 'lines', on: [{ left: 'id', right: 'order' }] };
    const sent: Join = {
      type: 'inner',
      table: 'skus',
      service: 'products',
      as: 's',
      broadcast: true,
      on: [{ left: 'lines.sku', right: 'sku' }],
    };

    it('takes the joined columns into the order, and reads first what is broadcast', () => {
      const { plan, reads } = planQuery(
        {
          ...query,
          join: [beside, sent],
          select: ['id', 's.title'],
          where: [
            { column: 's.title', op: 'prefix', value: 'a' },
            { column: 'total', op: '>', value: 1 },
          ],
        },
        tableOf,
      );
      assert.deepEqual(
        plan.order.map(({ column, nullable }) => [column, nullable]),
        [
          ['_partition', false],
          ['id', false],
          ['lines.order', true],
          ['lines.n', true],
          ['s._partition', false],
          ['s.sku', false],
        ],
      );
      assert.deepEqual(plan.columns, [
        'id',
        's.title',
        '_partition',
        'lines.order',
        'lines.n',
        's._partition',
        's.sku',
      ]);
      assert.deepEqual(reads, [
        null,
        {
          service: 'products',
          table: 'skus',
          select: ['sku', 'title'],
          where: [{ column: 'title', op: 'prefix', value: 'a' }],
          limit: 1_000,
        },
      ]);
      assert.deepEqual(plan.joins[1]?.values?.columns, ['sku', 'title', '_partition']);
      // What a left join leaves out early would come back as NULLs.
      const left = planQuery(
        {
          ...query,
          join: [beside, { ...sent, type: 'left' }],
          where: [{ column: 's.title', op: 'is-null' }],
        },
        tableOf,
      );
      assert.deepEqual(left.reads[1]?.where, []);
    });

    it('refuses what shards cannot join alone, and says why', () => {
      const joining = (join: unknown, reason: RegExp, more: Partial<Query> = {}): void =>
        assert.throws(
          () => planQuery({ ...query, join, ...more } as Query, tableOf),
          (error) => isCardumeError(error, 'query-refused') && reason.test(error.message),
          `${JSON.stringify(join)} is refused since ${reason}`,
        );
      joining(
        [{ ...beside, on: [{ left: 'note', right: 'order' }] }],
        /may stand in different partitions.*'lines' is sharded by 'order'.*before by 'id'/,
      );
      joining([{ ...beside, on: [{ left: 'id', right: 'sku' }] }], /may stand in different partitions/);
      joining([{ ...sent, broadcast: false }], /is of the service 'products', whose shards are others/);
      joining([{ ...sent, service: 'orders' }], /no table 'skus' in the service 'orders'/);
      joining([{ ...beside, table: 'nothing' }], /no table 'nothing'/);
      joining([{ ...beside, type: 'full' }], /expected inner or left, got 'full'/);
      joining([{ ...beside, on: [] }], /on: expected 1 to 8 pairs, got 0/);
      joining([{ ...beside, on: Array(9).fill(beside.on[0]) }], /on: expected 1 to 8 pairs, got 9/);
      joining([{ ...beside, on: [{ left: 'id', right: 'n' }] }], /'id' is text and 'n' is integer/);
      joining([{ ...beside, on: [{ left: 'rate', right: 'price' }] }], /real, which has no exact equality/);
      joining([{ ...beside, on: [{ left: 'lines.n', right: 'n' }] }], /no column 'lines.n'/);
      joining([beside, beside], /a table 'lines' already/);
      joining([{ ...beside, as: 'ORDERS' }], /a table 'ORDERS' already/);
      joining([{ ...beside, as: 'a.b' }], /'a.b' is not a name/);
      joining(Array(5).fill(beside), /at most 4, got 5/);
      joining([beside], /no column 'order'/, { select: ['order'] });
      joining([beside], /no column 'lines._partition'/, { select: ['lines._partition'] });
      joining([beside, sent], /json, which has no order/, {
        orderBy: [{ column: 's.data', direction: 'ascending' }],
      });
    });

    it('binds cursors to the joins', () => {
      const { plan } = planQuery({ ...query, join: [beside] }, tableOf);
      const row = plan.columns.map((column) => (/partition|n$|total|rate/.test(column) ? 1 : 'a'));
      const after = cursorOf(plan, row);
      assert.deepEqual(planQuery({ ...query, join: [beside], after }, tableOf).plan.after, [1, 'a', 'a', 1]);
      assert.throws(
        () => planQuery({ ...query, join: [{ ...beside, type: 'inner' }], after }, tableOf),
        (error) => isCardumeError(error, 'invalid-cursor'),
      );
    });
  });
});
