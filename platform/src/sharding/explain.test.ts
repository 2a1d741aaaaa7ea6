import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { explain, explanationText } from './explain.ts';
import type { Query } from './query.ts';
import type { Table } from './table.ts';

const table: Table = {
  name: 'orders',
  columns: { id: 'text', country: 'text', customer: 'text', total: 'integer' },
  key: ['id'],
  indexes: [],
};
const targets = [
  { region: 'us-east', shard: 'orders-0' },
  { region: 'eu-west', shard: 'orders-0' },
];
const list: Query = { service: 'orders', table: 'orders' };
const text = async (query: Partial<Query>, of = targets): Promise<string> =>
  explanationText(
    await explain(
      { ...list, ...query },
      () => table,
      async () => of,
      5_000,
    ),
  );

test('a list says where it goes, what each shard returns, and how they merge', async () => {
  assert.equal(
    await text({
      where: [
        { column: 'country', op: '=', value: 'BR' },
        { column: 'total', op: '>', value: 5 },
      ],
      orderBy: [{ column: 'total', direction: 'descending' }],
      limit: 20,
      offset: 40,
    }),
    `2 shards: us-east/orders-0, eu-west/orders-0
  each: read orders where country = "BR" and total > 5
  each: order by total descending, _partition descending, id descending
  each: return the first 61
  then: merge 2 ordered lists
  then: pass over 40
  then: take 20
at most 122 rows in memory, of 100,000 that are allowed
at most 33,554,432 bytes, within 5,000 ms`,
  );
});

test('groups in the order of their columns are pushed down, others are not', async () => {
  const aggregate = {
    groupBy: ['country'],
    columns: { mean: { average: 'total' }, buyers: { countDistinct: 'customer' } },
    having: [{ column: 'mean', op: '>', value: 3 }],
  } as const;
  assert.equal(
    await text({ aggregate, limit: 5 }),
    `2 shards: us-east/orders-0, eu-west/orders-0
  each: read orders
  each: group by country, customer: mean = average(total), buyers = countDistinct(customer)
  each: return all groups, at most 10,000
  then: add up the parts of each group
  then: keep groups where mean > 3
  then: order by country
  then: take 5
at most 20,002 rows in memory, of 100,000 that are allowed
at most 33,554,432 bytes, within 5,000 ms`,
  );
  assert.match(await text({ distinct: true, select: ['country'], limit: 5 }), /each: return the first 6\n/);
});

test('what is refused is not explained', async () => {
  await assert.rejects(
    () => text({ select: ['nothing'] }),
    (error) => isCardumeError(error, 'query-refused'),
  );
});

const lines: Table = {
  name: 'lines',
  columns: { order: 'text', n: 'integer', sku: 'text' },
  key: ['order', 'n'],
  indexes: [],
  shardedBy: 'order',
};
const products: Table = {
  name: 'products',
  columns: { sku: 'text', title: 'text' },
  key: ['sku'],
  indexes: [],
};
const tables = [{ ...table, shardedBy: 'id' }, lines, products];

test('joins and unions say what is read before, where rows meet, and how the lists merge', async () => {
  const explanation = await explain(
    {
      unionAll: [
        {
          service: 'orders',
          table: 'orders',
          select: ['id', 'p.title'],
          join: [
            { type: 'left', table: 'lines', on: [{ left: 'id', right: 'order' }] },
            {
              type: 'inner',
              service: 'products',
              table: 'products',
              as: 'p',
              on: [{ left: 'lines.sku', right: 'sku' }],
              broadcast: true,
            },
          ],
          where: [{ column: 'p.title', op: 'prefix', value: 'a' }],
        },
        { service: 'orders', table: 'orders', select: ['id', 'country'] },
      ],
      orderBy: [{ column: 'p.title', direction: 'descending' }],
      limit: 20,
      offset: 5,
    },
    (_service, name) => tables.find((one) => one.name === name),
    async ({ service }) => (service === 'orders' ? targets : targets.slice(0, 1)),
    5_000,
  );
  assert.equal(
    explanationText(explanation),
    `query 1 of the union
before: a table that is broadcast
  1 shard: us-east/orders-0
    each: read products where title prefix "a"
    each: order by _partition, sku
    each: return the first 1001
2 shards: us-east/orders-0, eu-west/orders-0
  each: read orders
  each: left join lines on id = lines.order (of the same partition)
  each: inner join products as p on lines.sku = p.sku (sent along, at most 1,000 rows and 262,144 bytes)
  each: keep rows where p.title prefix "a"
  each: order by p.title descending, _partition descending, id descending, lines.order descending, lines.n descending, p._partition descending, p.sku descending
  each: return the first 26
  then: merge 2 ordered lists
query 2 of the union
2 shards: us-east/orders-0, eu-west/orders-0
  each: read orders
  each: order by country descending, _partition descending, id descending
  each: return the first 26
  then: merge 2 ordered lists
then: merge 2 lists by p.title descending, the place of the query
then: pass over 5
then: take 20
at most 104 rows in memory, of 100,000 that are allowed
at most 33,554,432 bytes, within 5,000 ms`,
  );
});
