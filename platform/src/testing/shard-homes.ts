/** Where the tests of a shard open it: an empty place on each engine. */
import assert from 'node:assert/strict';
import type { ShardPlace } from '../cqrs/storage.ts';
import type { Host } from '../host/host.ts';
import { serverNamed } from './servers.ts';

/** Where a shard stands, and what tests do to it behind its back. */
export interface Home {
  readonly place: ShardPlace;
  /** All that is stored, as it is stored. */
  bytes(): Promise<Buffer>;
  loseLog(): Promise<void>;
  /** Adds a column to every table, as a later program may. */
  widen(): Promise<void>;
  /** Nobody else may write read models until it is called. */
  holdReadModels(): Promise<() => Promise<void>>;
}

export interface Engine {
  readonly name: string;
  readonly skip: string | false;
  newHome(): Promise<Home>;
}

/** All engines; clear what they leave behind when the tests are over. */
export async function homes(
  host: Host,
): Promise<{ readonly all: readonly Engine[]; clear(): Promise<void> }> {
  const found = await serverNamed(host, 'mariadb');
  const clearances: (() => Promise<void>)[] = [];

  const sqlite: Engine = {
    name: 'SQLite',
    skip: false,
    async newHome() {
      const name = Buffer.from(host.random.bytes(6)).toString('hex');
      const folder = `${host.env.get('TMPDIR') ?? '/tmp'}/cardume-shard-${name}`;
      clearances.push(() => host.disk.remove(folder));
      return {
        place: { base: `${folder}/bank-0` },
        async bytes() {
          const names = await host.disk.list(folder);
          assert.ok(names.length >= 4);
          return Buffer.concat(
            await Promise.all(
              names.map((name) => host.disk.read(`${folder}/${name}`) as Promise<Uint8Array>),
            ),
          );
        },
        async loseLog() {
          for (const name of await host.disk.list(folder))
            if (name.includes('.log.db')) await host.disk.remove(`${folder}/${name}`);
        },
        async widen() {
          for (const name of (await host.disk.list(folder)).filter((one) => one.endsWith('.db'))) {
            const other = host.disk.database(`${folder}/${name}`);
            const tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
            for (const { name: table } of other.prepare(tables).all())
              other.exec(`ALTER TABLE "${table}" ADD COLUMN later TEXT`);
            other.close();
          }
        },
        async holdReadModels() {
          const other = host.disk.database(`${folder}/bank-0.views.db`);
          other.exec('BEGIN IMMEDIATE');
          return async () => other.close();
        },
      };
    },
  };

  const mariadb: Engine = {
    name: found.name,
    skip: found.skip,
    async newHome() {
      assert.ok(found.skip === false);
      const { address, drop } = await found.server.newDatabase();
      const other = host.sql.database(address, { connectionsMax: 1, statementTimeoutMs: 20_000 });
      clearances.push(() => other.close().then(drop));
      return {
        place: { sql: address },
        async bytes() {
          const rows: unknown[] = [];
          for (const table of await other.rows('SHOW TABLES'))
            rows.push(...(await other.rows(`SELECT * FROM \`${Object.values(table)[0]}\``)));
          assert.ok(rows.length > 4);
          const cells = rows.flatMap((row) => Object.values(row as object));
          return Buffer.concat(
            cells.map((cell) => (Buffer.isBuffer(cell) ? cell : Buffer.from(String(cell)))),
          );
        },
        async loseLog() {
          for (const table of ['log_entries', 'log_answers', 'log_heads'])
            await other.exec(`DELETE FROM ${table}`);
        },
        async widen() {
          for (const table of await other.rows('SHOW TABLES'))
            await other.exec(`ALTER TABLE \`${Object.values(table)[0]}\` ADD COLUMN later VARCHAR(10)`);
        },
        async holdReadModels() {
          const held = Promise.withResolvers<void>();
          const release = Promise.withResolvers<void>();
          const holding = other.session(async (session) => {
            await session.exec('START TRANSACTION');
            await session.rows('SELECT * FROM _folded FOR UPDATE');
            held.resolve();
            await release.promise;
            await session.exec('ROLLBACK');
          });
          await held.promise;
          return () => {
            release.resolve();
            return holding;
          };
        },
      };
    },
  };

  return {
    all: [sqlite, mariadb],
    async clear() {
      for (const one of clearances) await one();
      if (found.skip === false) await found.server.admin.close();
    },
  };
}
