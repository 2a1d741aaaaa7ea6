/** Where the tests of replicas open a shard: an empty place with one replica, on each engine, and what holds it up. */
import assert from 'node:assert/strict';
import type { ShardPlace } from '../cqrs/storage.ts';
import type { Host } from '../host/host.ts';
import { serverNamed } from './servers.ts';

export interface ReplicatedHome {
  readonly place: ShardPlace;
  /** The replica takes nothing more, and answers. @returns lets it go on */
  hold(): Promise<() => Promise<void>>;
  /** The replica does not answer. @returns brings it back */
  stop(): Promise<() => Promise<void>>;
}

export interface ReplicatedEngine {
  readonly name: string;
  readonly skip: string | false;
  newHome(): Promise<ReplicatedHome>;
}

export async function replicatedHomes(
  host: Host,
): Promise<{ readonly all: readonly ReplicatedEngine[]; clear(): Promise<void> }> {
  const [primary, replica] = [await serverNamed(host, 'mariadb'), await serverNamed(host, 'mariadb-replica')];
  const clearances: (() => Promise<void>)[] = [];

  const sqlite: ReplicatedEngine = {
    name: 'SQLite',
    skip: false,
    async newHome() {
      const name = Buffer.from(host.random.bytes(6)).toString('hex');
      const folder = `${host.env.get('TMPDIR') ?? '/tmp'}/cardume-replica-${name}`;
      clearances.push(() => host.disk.remove(folder));
      const base = `${folder}/bank-0`;
      return {
        place: { base, replicas: 1 },
        async hold() {
          const other = host.disk.database(`${base}.replica-1.db`);
          other.exec('BEGIN IMMEDIATE');
          return async () => other.close();
        },
        async stop() {
          const other = host.disk.database(`${base}.replica-1.db`);
          other.exec('ALTER TABLE _folded RENAME TO _away');
          return async () => {
            other.exec('ALTER TABLE _away RENAME TO _folded');
            other.close();
          };
        },
      };
    },
  };

  const mariadb: ReplicatedEngine = {
    name: 'MariaDB',
    skip: primary.skip === false ? replica.skip : primary.skip,
    async newHome() {
      assert.ok(primary.skip === false && replica.skip === false);
      const { address, drop } = await primary.server.newDatabase('replicated');
      clearances.push(drop);
      const { admin, address: following } = replica.server;
      const { database } = address;
      return {
        place: { sql: address, replicas: [{ ...following, database }] },
        async hold() {
          await admin.exec('STOP SLAVE SQL_THREAD');
          return () => admin.exec('START SLAVE SQL_THREAD');
        },
        async stop() {
          await admin.exec('STOP SLAVE SQL_THREAD');
          await admin.exec(`RENAME TABLE \`${database}\`._folded TO \`${database}\`._away`);
          return async () => {
            await admin.exec(`RENAME TABLE \`${database}\`._away TO \`${database}\`._folded`);
            await admin.exec('START SLAVE SQL_THREAD');
          };
        },
      };
    },
  };

  return {
    all: [sqlite, mariadb],
    async clear() {
      for (const one of clearances) await one();
      for (const { skip, ...found } of [primary, replica])
        if (skip === false)
          await (found as { server: { admin: { close(): Promise<void> } } }).server.admin.close();
    },
  };
}
