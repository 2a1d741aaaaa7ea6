/** What archives ask of a server, and what becomes of tables that an older program has not made. */
import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import type { Host } from '../../host/host.ts';
import { realHost } from '../../host/real.ts';
import type { SqlAddress, SqlDatabase, SqlSession } from '../../host/sql.ts';
import { event, events, P, Q } from '../../testing/log-conformance-case.ts';
import { serverNamed } from '../../testing/servers.ts';
import { ASKED, archive, trade } from '../archive/archive.fixture.ts';
import { type Cell, pack } from '../batch.ts';
import { openBesideLog } from '../beside.ts';
import type { Engine } from '../engine.ts';
import { openLog, openWriterPool } from '../events.ts';
import type { Log, PartitionKey } from '../log.ts';
import { verifyLog } from '../verify.ts';
import { mysql } from './mysql.ts';

const host = realHost();
const mariadb = await serverNamed(host, 'mariadb');
after(() => (mariadb.skip === false ? mariadb.server.admin.close() : undefined));

/** A host that notes each statement that goes to a server. */
function counting(): { readonly on: Host; readonly statements: string[] } {
  const statements: string[] = [];
  const note =
    <A extends unknown[], T>(work: (sql: string, ...rest: A) => T) =>
    (sql: string, ...rest: A): T => {
      statements.push(sql);
      return work(sql, ...rest);
    };
  const noted = ({ rows, run, exec }: SqlSession): SqlSession => ({
    rows: note(rows),
    run: note(run),
    exec: note(exec),
  });
  const database: Host['sql']['database'] = (address, bounds): SqlDatabase => {
    const opened = host.sql.database(address, bounds);
    return {
      ...opened,
      ...noted(opened),
      session: (work, within) => opened.session((session) => work(noted(session)), within),
    };
  };
  return { on: { ...host, sql: { database } }, statements };
}

describe('the archive of a log on MariaDB', { skip: mariadb.skip }, () => {
  let address: SqlAddress;
  let drops: (() => Promise<void>)[] = [];
  beforeEach(async () => {
    assert.ok(mariadb.skip === false);
    const made = await mariadb.server.newDatabase();
    ({ address } = made);
    drops.push(made.drop);
  });
  after(async () => {
    for (const drop of drops) await drop();
    drops = [];
  });

  async function withLog(
    work: (log: Log) => Promise<void>,
    { on = host, partitions = [P, Q] }: { on?: Host; partitions?: readonly PartitionKey[] } = {},
  ): Promise<void> {
    const pool = openWriterPool(on, { threadsMax: 1 });
    const bounds = { batchEntriesMax: 128, queueEntriesMax: 1_000 };
    const log = await openLog(on, { sql: address, partitions, pool, bounds });
    try {
      await work(log);
    } finally {
      await log.close();
      await pool.close();
    }
  }

  const openEngine = async (on: Host, partitions: readonly PartitionKey[]): Promise<Engine> => {
    const start = { partitions, opener: 1, copies: [], isMapNew: false };
    return (await mysql.open(on, { sql: address }, start)).engine;
  };

  async function change(...statements: readonly string[]): Promise<void> {
    const other = host.sql.database(address, { connectionsMax: 1, statementTimeoutMs: 10_000 });
    for (const sql of statements) await other.exec(sql);
    await other.close();
  }

  test('costs no statement while there is no segment, whatever is read', async () => {
    await withLog(trade);
    const { on, statements } = counting();
    const reader = await mysql.openReader(on, { sql: address });
    const reads: Readonly<Record<string, () => Promise<unknown>>> = {
      'a page': () => reader.readPartition(P, 0, 10),
      'an empty page': () => reader.readPartition(P, 13, 10),
      'a stream': () => reader.readStream(P, 'acc', 1, 10),
      'a new stream': () => reader.readStream(P, 'none', 1, 10),
      'no answer': () => reader.findAnswer(P, 'none'),
      'an epoch': () => reader.epochAt(P, 13),
      'no epoch': () => reader.epochAt(P, 14),
    };
    for (const [read, ask] of Object.entries(reads)) {
      statements.length = 0;
      await ask();
      assert.equal(statements.length, 1, `${read}: ${statements.join('\n')}`);
    }
    await reader.close();
  });

  test('is asked for by the first batch alone, until a stream has ended', async () => {
    const { on, statements } = counting();
    const engine = await openEngine(on, [P]);
    const asked = (): number => statements.filter((sql) => sql.includes('log_ended_streams')).length;
    const commit = async (number: number, stream: string): Promise<number> => {
      statements.length = 0;
      const cells: Cell[] = [];
      pack([event(stream, 1)], cells);
      const { outcome } = await engine.commit({ number, appends: [P, 1], cells });
      assert.deepEqual(outcome.failures, []);
      return asked();
    };
    assert.equal(await commit(1, 'a'), 1);
    assert.equal(await commit(2, 'b'), 0);
    await engine.close();
  });

  test('is looked for in one partition a step', async () => {
    const { on, statements } = counting();
    const partitions = Array.from({ length: 20 }, (_, i) => i);
    const engine = await openEngine(on, partitions);
    let steps = 0;
    for (let isBehind = true; isBehind; steps += 1) {
      statements.length = 0;
      isBehind = await engine.archive(ASKED);
      assert.ok(statements.length <= 3, statements.join('\n'));
    }
    assert.equal(steps, partitions.length + 1);
    await engine.close();
  });

  test('is not looked for where an older program has made no tables, also by a verification', async () => {
    await withLog(async (log) => {
      await log.append(P, [event('s', 1), event('s', 2), ...events('acc', 2)]);
    });
    await change(
      'DROP TABLE log_segments',
      'DROP TABLE log_ended_streams',
      `DELETE FROM log_entries WHERE partition_key = ${P} AND position = 1`,
    );
    const { faults } = await verifyLog(host, { sql: address });
    assert.ok(
      faults.some((fault) => /position 2: follows position 0/.test(fault)),
      faults.join('\n'),
    );
    assert.ok(
      faults.some((fault) => /'s': version 2 follows nothing/.test(fault)),
      faults.join('\n'),
    );
  });

  test('is found by a reader that was opened before the tables were there', async () => {
    await withLog(trade);
    await change(
      'DROP TABLE log_segments',
      'DROP TABLE log_ended_streams',
      "DELETE FROM log_meta WHERE name = 'schema_expanded'",
    );
    const beside = await openBesideLog(host, { sql: address });
    const reader = await mysql.openReader(host, { sql: address });
    assert.equal((await beside.read(P, 0, 50)).length, 13);
    assert.deepEqual(await reader.readStream(P, 'none', 1, 9), []);
    await withLog(archive);
    assert.deepEqual(
      (await beside.read(P, 0, 50)).map(({ position }) => position),
      Array.from({ length: 13 }, (_, i) => i + 1),
    );
    assert.equal((await reader.readStream(P, 'ord-1', 1, 9)).length, 2);
    await Promise.all([beside.close(), reader.close()]);
  });

  test('of a long stream is made a bounded part at a time', { timeout: 60_000 }, async () => {
    await withLog(async (log) => {
      for (let i = 0; i < 9; i += 1)
        await log.append(
          P,
          Array.from({ length: 900 }, (_, n) => event('ord-1', i * 900 + n + 1)),
        );
      await log.append(P, [event('ord-1', 8_101, { type: 'Ended' }), event('acc', 1)]);
      while ((await log.forgetAnswers(2_000_000_000_000, 1_000)) === 1_000);
      let steps = 0;
      while (await log.archive({ ...ASKED, segmentEntriesMax: 8_101 })) steps += 1;
      assert.ok(steps >= 32 + 32 + 5 + 32, `${steps} steps`);
      assert.equal((await log.readStream(P, 'ord-1', 8_000, 999)).length, 102);
    });
    assert.deepEqual((await verifyLog(host, { sql: address })).faults, []);
  });

  test('reads as told or is told that the log closes', async () => {
    await withLog(async (log) => {
      await trade(log);
      await archive(log);
    });
    const beside = await openBesideLog(host, { sql: address });
    const begun = Array.from({ length: 20 }, (_, i) => beside.read(P, i % 13, 50));
    const told = Promise.allSettled(begun);
    await beside.close();
    for (const one of await told)
      if (one.status === 'rejected') assert.equal((one.reason as { code?: string }).code, 'draining');
    await assert.rejects(beside.read(P, 0, 1), /the log is closed/);
  });
});
