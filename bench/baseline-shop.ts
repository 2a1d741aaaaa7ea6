/**
 * What a careful team writes by hand on one machine, to measure against: Fastify and SQLite in one process, one
 * durable transaction a request (WAL, `synchronous=FULL`: an answered order survives a loss of power), prepared
 * statements, schemas for input and answer. No authentication, no idempotency, no second region.
 *
 *   node bench/baseline-shop.ts PORT FOLDER      prints its URL when it listens
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  BASELINE_PRICE_E4,
  BASELINE_PRODUCTS,
  BASELINE_STOCK,
  type Baseline,
  type NewOrder,
  type OrderAnswer,
  serveOrders,
} from './baseline-http.ts';

export async function startBaseline(folder: string, port = 0): Promise<Baseline> {
  mkdirSync(folder, { recursive: true });
  const database = new DatabaseSync(join(folder, 'baseline.db'));
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS product (id INTEGER PRIMARY KEY, price_e4 INTEGER NOT NULL, stock INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS orders (
      id INTEGER PRIMARY KEY, status TEXT NOT NULL, total_e4 INTEGER NOT NULL, placed_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS order_line (
      order_id INTEGER NOT NULL REFERENCES orders, line INTEGER NOT NULL, product_id INTEGER NOT NULL REFERENCES product,
      quantity INTEGER NOT NULL, price_e4 INTEGER NOT NULL, PRIMARY KEY (order_id, line)
    ) STRICT, WITHOUT ROWID;
    WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ${BASELINE_PRODUCTS})
    INSERT INTO product SELECT id, ${BASELINE_PRICE_E4}, ${BASELINE_STOCK} FROM n WHERE true ON CONFLICT DO NOTHING;
  `);
  const begin = database.prepare('BEGIN IMMEDIATE');
  const take = database.prepare(
    'UPDATE product SET stock = stock - ? WHERE id = ? AND stock >= ? RETURNING price_e4',
  );
  const insertOrder = database.prepare(
    "INSERT INTO orders (status, total_e4, placed_at_ms) VALUES ('placed', ?, ?)",
  );
  const insertLine = database.prepare('INSERT INTO order_line VALUES (?, 1, ?, ?, ?)');
  const commit = database.prepare('COMMIT');
  const rollback = database.prepare('ROLLBACK');

  function place({ product, quantity }: NewOrder): OrderAnswer | null {
    begin.run();
    try {
      const taken = take.get(quantity, product, quantity) as { price_e4: number } | undefined;
      if (taken === undefined) {
        rollback.run();
        return null;
      }
      const total = taken.price_e4 * quantity;
      const id = Number(insertOrder.run(total, Date.now()).lastInsertRowid);
      insertLine.run(id, product, quantity, taken.price_e4);
      commit.run();
      return { id, status: 'placed', total_e4: total };
    } catch (error) {
      if (database.isTransaction) rollback.run();
      throw error;
    }
  }

  const server = await serveOrders(port, place);
  return {
    url: server.url,
    async close() {
      await server.close();
      database.close();
    },
  };
}

if (import.meta.main) {
  const [port, folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error('usage: node bench/baseline-shop.ts PORT FOLDER');
  const baseline = await startBaseline(folder, Number(port));
  process.once('SIGTERM', () => void baseline.close());
  process.stdout.write(`${baseline.url}\n`);
}
