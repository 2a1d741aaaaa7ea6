import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { startBaseline } from './baseline-shop.ts';

test('an order takes its stock and is durable; what cannot be sold changes nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cardume-baseline-'));
  try {
    const baseline = await startBaseline(folder);
    const order = async (body: unknown): Promise<{ status: number; answer: Record<string, unknown> }> => {
      const response = await fetch(`${baseline.url}/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
    };
    assert.deepEqual(await order({ product: 7, quantity: 3 }), {
      status: 201,
      answer: { id: 1, status: 'placed', total_e4: 76_500 },
    });
    for (let i = 0; i < 999; i += 1) await order({ product: 7, quantity: 1_000_000 });
    assert.equal((await order({ product: 7, quantity: 1_000_000 })).status, 409);
    assert.equal((await order({ product: 1_001, quantity: 1 })).status, 409);
    assert.equal((await order({ product: 7, quantity: 0 })).status, 400);
    await baseline.close();

    const database = new DatabaseSync(join(folder, 'baseline.db'));
    const one = (sql: string): unknown => Object.values(database.prepare(sql).get() ?? {})[0];
    assert.equal(one('SELECT stock FROM product WHERE id = 7'), 1_000_000_000 - 999_000_003);
    assert.equal(one('SELECT count(*) FROM orders'), 1_000);
    assert.equal(one('SELECT sum(quantity) FROM order_line WHERE product_id = 7'), 999_000_003);
    database.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
