/**
 * What the event log costs over MariaDB: events a second of `openLog` against plain `mysql2` that inserts the same rows
 * under the same keys, 128 in one prepared statement and one commit, on the same server, in alternating rounds.
 *
 *   npm run engines -- start mariadb && node tools/launch.mjs bench/mysql-append.ts
 */
import { createConnection } from 'mysql2/promise';
import { realHost } from '../platform/src/host/real.ts';
import type { SqlAddress } from '../platform/src/host/sql.ts';
import { type Server, serverNamed } from '../platform/src/testing/servers.ts';
import { appendAll, BATCH_ENTRIES, eventsOf, plainEntries } from './appending.ts';
import { compared, type Figure, type Say } from './figure.ts';

const ROUNDS = 5;
const STREAMS_PER_CALLER = 6;
const COLUMNS = 11;

const host = realHost();

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const found = await serverNamed(host, 'mariadb');
  if (found.skip !== false) {
    say(`${found.skip}: npm run engines -- start`);
    return [];
  }
  const rounds: { readonly ours: number; readonly reference: number }[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    say(round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`);
    const measured = { ours: 0, reference: 0 };
    const steps = [
      async () => {
        measured.ours = await inDatabase(found.server, (sql) => appendAll({ sql }, STREAMS_PER_CALLER));
      },
      async () => {
        measured.reference = await inDatabase(found.server, insertAll);
      },
    ];
    if (round % 2 === 0) steps.reverse(); // who begins changes with each round
    for (const step of steps) await step();
    if (round >= 0) rounds.push(measured); // the first warms up
  }
  await found.server.admin.close();
  return [
    {
      name: 'log appends on MariaDB',
      unit: 'events/s',
      ...compared(rounds),
      beside: 'mysql2, 128 rows a statement and commit',
      target: { atLeast: 0.6 },
    },
  ];
}

async function inDatabase<T>(server: Server, work: (address: SqlAddress) => Promise<T>): Promise<T> {
  const { address, drop } = await server.newDatabase();
  try {
    return await work(address);
  } finally {
    await drop();
  }
}

async function insertAll(address: SqlAddress): Promise<number> {
  const connection = await createConnection({ ...address, charset: 'utf8mb4' });
  await connection.query(`CREATE TABLE entries (
    partition_key INT UNSIGNED NOT NULL, position BIGINT UNSIGNED NOT NULL, epoch BIGINT UNSIGNED NOT NULL,
    stream VARBINARY(80) NOT NULL, version INT UNSIGNED, type VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL,
    data LONGTEXT CHARACTER SET utf8mb4 NOT NULL, meta LONGTEXT CHARACTER SET utf8mb4, answer_key VARBINARY(200),
    at_ms BIGINT NOT NULL, checksum BINARY(16) NOT NULL,
    PRIMARY KEY (partition_key, position), UNIQUE KEY by_stream (partition_key, stream, version))`);
  await connection.query('SET autocommit = 0');
  const rows = plainEntries(STREAMS_PER_CALLER).map(({ partition, position, entry }) => {
    const { stream, version, type, data, meta, key, atMs } = entry;
    return [
      partition,
      position,
      1,
      stream,
      version,
      type,
      data,
      meta,
      key,
      atMs,
      Buffer.from(host.random.bytes(16)),
    ];
  });
  const row = `(${new Array(COLUMNS).fill('?').join(', ')})`;
  const sql = `INSERT INTO entries VALUES ${new Array(BATCH_ENTRIES).fill(row).join(', ')}`;
  const startMs = performance.now();
  for (let at = 0; at < rows.length; at += BATCH_ENTRIES) {
    await connection.execute(sql, rows.slice(at, at + BATCH_ENTRIES).flat());
    await connection.query('COMMIT');
  }
  const seconds = (performance.now() - startMs) / 1000;
  await connection.end();
  return eventsOf(STREAMS_PER_CALLER) / seconds;
}

if (import.meta.main) console.log(await run(console.error));
