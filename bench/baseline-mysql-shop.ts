/**
 * What a careful team writes by hand over MySQL's family, to measure against: Fastify and `mysql2` in one process, a
 * bounded pool, prepared statements, and one durable transaction an order: the idempotency key is the order's own unique
 * column, the stock is taken by a conditional update, the payment is asked of the same sandbox as the shop's, and the order
 * is confirmed when it is answered. No authentication, no second region.
 *
 *   node bench/baseline-mysql-shop.ts PORT DATABASE      on the MariaDB of `npm run engines`; prints its URL
 */
import { createPool, type PoolConnection, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import { realHost } from '../platform/src/host/real.ts';
import type { SqlAddress } from '../platform/src/host/sql.ts';
import { serverNamed } from '../platform/src/testing/servers.ts';
import { sandbox } from '../shop/src/orders/sandbox.ts';
import {
  BASELINE_PRICE_E4,
  BASELINE_PRODUCTS,
  BASELINE_STOCK,
  type Baseline,
  type NewOrder,
  type OrderAnswer,
  serveOrders,
} from './baseline-http.ts';

/** Measured over 64 callers: with 16 it confirms some 15 % fewer orders a second, with 8 more than 20 % fewer. */
const CONNECTIONS = 32;
const DUPLICATE = 1062;
/** The transaction was undone for another's sake, or waited too long for a lock. */
const CONTENDED: ReadonlySet<unknown> = new Set([1213, 1205]);
const ATTEMPTS = 5;

const TABLES = [
  `CREATE TABLE IF NOT EXISTS product (
    id INT UNSIGNED PRIMARY KEY, price_e4 BIGINT NOT NULL, stock BIGINT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS orders (
    id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, idempotency_key VARBINARY(100) UNIQUE,
    status VARCHAR(20) NOT NULL, total_e4 BIGINT NOT NULL, payment VARCHAR(100), placed_at_ms BIGINT NOT NULL)`,
  `CREATE TABLE IF NOT EXISTS order_line (
    order_id BIGINT UNSIGNED NOT NULL, line INT UNSIGNED NOT NULL, product_id INT UNSIGNED NOT NULL,
    quantity INT UNSIGNED NOT NULL, price_e4 BIGINT NOT NULL, PRIMARY KEY (order_id, line))`,
];

export async function startMysqlBaseline(address: SqlAddress, port = 0): Promise<Baseline> {
  const pool = createPool({ ...address, charset: 'utf8mb4', connectionLimit: CONNECTIONS });
  // A transaction begins with its first statement; no locks on gaps.
  pool.on('connection', (connection) => {
    connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
    connection.query('SET autocommit = 0');
  });
  for (const table of TABLES) await pool.query(table);
  const [products] = await pool.query<RowDataPacket[]>('SELECT 1 FROM product LIMIT 1');
  if (products.length === 0) {
    const all = Array.from({ length: BASELINE_PRODUCTS }, (_, i) => [
      i + 1,
      BASELINE_PRICE_E4,
      BASELINE_STOCK,
    ]);
    const connection = await pool.getConnection();
    await connection.query('INSERT INTO product VALUES ?', [all]);
    await connection.commit();
    connection.release();
  }
  const payments = sandbox(realHost().clock, { lateMs: 0, paymentsMax: 10_000 });

  async function attempt(
    connection: PoolConnection,
    { product, quantity }: NewOrder,
    key: string | undefined,
  ): Promise<OrderAnswer | null> {
    const [found] = await connection.execute<RowDataPacket[]>('SELECT price_e4 FROM product WHERE id = ?', [
      product,
    ]);
    if (found[0] === undefined) return null;
    const price = Number(found[0]['price_e4']);
    const total = price * quantity;
    const [{ insertId: id }] = await connection.execute<ResultSetHeader>(
      "INSERT INTO orders (idempotency_key, status, total_e4, placed_at_ms) VALUES (?, 'placed', ?, ?)",
      [key ?? null, total, Date.now()],
    );
    await connection.execute('INSERT INTO order_line VALUES (?, 1, ?, ?, ?)', [id, product, quantity, price]);
    const [taken] = await connection.execute<ResultSetHeader>(
      'UPDATE product SET stock = stock - ? WHERE id = ? AND stock >= ?',
      [quantity, product, quantity],
    );
    if (taken.affectedRows === 0) return null;
    const { reference } = await payments.authorise({
      key: `baseline-${id}`,
      order: String(id),
      amountE4: total,
      currency: 'GBP',
      token: 'tok_approve',
    });
    await connection.execute("UPDATE orders SET status = 'confirmed', payment = ? WHERE id = ?", [
      reference,
      id,
    ]);
    await connection.commit();
    return { id, status: 'confirmed', total_e4: total };
  }

  async function known(connection: PoolConnection, key: string): Promise<OrderAnswer> {
    const [rows] = await connection.execute<RowDataPacket[]>(
      'SELECT id, status, total_e4 FROM orders WHERE idempotency_key = ?',
      [key],
    );
    await connection.commit();
    return rows[0] as RowDataPacket & OrderAnswer;
  }

  async function place(order: NewOrder, key: string | undefined): Promise<OrderAnswer | null> {
    const connection = await pool.getConnection();
    try {
      for (let tries = 1; ; tries += 1) {
        try {
          const placed = await attempt(connection, order, key);
          if (placed === null) await connection.rollback();
          return placed;
        } catch (error) {
          await connection.rollback();
          const { errno } = error as { errno?: number };
          if (errno === DUPLICATE && key !== undefined) return await known(connection, key);
          if (!CONTENDED.has(errno) || tries === ATTEMPTS) throw error;
        }
      }
    } finally {
      connection.release();
    }
  }

  const server = await serveOrders(port, place);
  return {
    url: server.url,
    async close() {
      await server.close();
      await pool.end();
    },
  };
}

if (import.meta.main) {
  const [port, database] = process.argv.slice(2);
  if (database === undefined) throw new Error('usage: node bench/baseline-mysql-shop.ts PORT DATABASE');
  const found = await serverNamed(realHost(), 'mariadb');
  if (found.skip !== false) throw new Error(found.skip);
  await found.server.admin.close();
  const baseline = await startMysqlBaseline({ ...found.server.address, database }, Number(port));
  process.once('SIGTERM', () => void baseline.close());
  process.stdout.write(`${baseline.url}\n`);
}
