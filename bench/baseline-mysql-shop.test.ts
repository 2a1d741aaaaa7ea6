import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realHost } from '../platform/src/host/real.ts';
import { serverNamed } from '../platform/src/testing/servers.ts';
import { startMysqlBaseline } from './baseline-mysql-shop.ts';

const host = realHost();
const found = await serverNamed(host, 'mariadb');

test('an order takes its stock and is confirmed, once a key; what cannot be sold changes nothing', {
  skip: found.skip,
}, async () => {
  assert.ok(found.skip === false);
  const { address, drop } = await found.server.newDatabase();
  const database = host.sql.database(address, { connectionsMax: 1, statementTimeoutMs: 10_000 });
  try {
    const baseline = await startMysqlBaseline(address);
    const order = async (body: unknown, key?: string): Promise<{ status: number; answer: unknown }> => {
      const response = await fetch(`${baseline.url}/orders`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
        body: JSON.stringify(body),
      });
      return { status: response.status, answer: await response.json() };
    };
    const first = await order({ product: 7, quantity: 3 }, 'a');
    assert.deepEqual(first, {
      status: 201,
      answer: { id: 1, status: 'confirmed', total_e4: 76_500 },
    });
    assert.deepEqual(await order({ product: 7, quantity: 3 }, 'a'), first);
    await database.exec('UPDATE product SET stock = 5 WHERE id = 8');
    assert.equal((await order({ product: 8, quantity: 6 }, 'b')).status, 409);
    assert.equal((await order({ product: 1_001, quantity: 1 })).status, 409);
    assert.equal((await order({ product: 7, quantity: 0 })).status, 400);
    await baseline.close();

    const stock = await database.rows('SELECT id, stock FROM product WHERE id IN (7, 8) ORDER BY id');
    assert.deepEqual(
      stock.map((row) => ({ ...row })),
      [
        { id: 7, stock: 999_999_997 },
        { id: 8, stock: 5 },
      ],
    );
    const orders = await database.rows('SELECT status, COUNT(*) AS n FROM orders GROUP BY status');
    assert.deepEqual(
      orders.map((row) => ({ ...row })),
      [{ status: 'confirmed', n: 1 }],
    );
    assert.equal((await database.rows('SELECT 1 FROM order_line')).length, 1);
  } finally {
    await database.close();
    await drop();
    await found.server.admin.close();
  }
});
