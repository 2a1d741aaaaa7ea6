/** Opening, and opening again: see `First` and `Recovery`. All heads are locked in the same order, so openers queue. */
import { assert } from '../../base/assert.ts';
import { again } from '../../database/mysql/again.ts';
import type { Host } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import { EMPTY_CHECKSUM } from '../checksum.ts';
import { COPY } from '../copies.ts';
import type { First, Opening, Recovered, Recovery } from '../engine.ts';
import type { Head, PartitionKey } from '../log.ts';
import { engineOver } from './engine.ts';
import { HEADS, headOf } from './heads.ts';

export async function openFirst(
  host: Host,
  database: SqlDatabase,
  { partitions, opener, copies, floors, yielded = [] }: First,
  mayCommit?: () => void,
): Promise<Opening> {
  const ordered = [...partitions].sort((a, b) => a - b);
  const { heads, followed } = await again(host.clock, () =>
    database.session(async (session) => {
      await session.exec('START TRANSACTION');
      for (const partition of [...ordered, ...yielded].sort((a, b) => a - b)) {
        if (yielded.includes(partition)) {
          await giveWay(session, partition);
          continue;
        }
        await session.run(
          `INSERT INTO log_heads (partition_key, epoch, position, checksum, batch, forgotten) VALUES (?, ?, 0, ?, ?, 0)
            ON DUPLICATE KEY UPDATE epoch = GREATEST(epoch + 1, VALUES(epoch)), batch = VALUES(batch)`,
          [partition, Math.max(1, floors?.get(partition) ?? 0), EMPTY_CHECKSUM, -opener],
        );
      }
      const found = {
        heads: await headsOf(session, ordered),
        followed: await copiesOf(session, [...copies, ...yielded]),
      };
      await session.exec('COMMIT');
      return found;
    }),
  );
  return {
    engine: engineOver(host, database, opener, heads, followed, mayCommit),
    recovered: [],
    strays: [],
  };
}

export async function openAgain(
  host: Host,
  database: SqlDatabase,
  recovery: Recovery,
  mayCommit?: () => void,
): Promise<Opening> {
  const lost = [...recovery.lost].sort((a, b) => a.partition - b.partition);
  const { recovered, heads, followed } = await again(host.clock, () =>
    database.session(async (session) => {
      await session.exec('START TRANSACTION');
      const found = new Map<PartitionKey, Recovered>();
      for (const { partition, epoch, position } of lost) {
        // Whoever lost the batch held this lock until the batch had ended.
        const [head] = await session.rows(
          'SELECT epoch, batch FROM log_heads WHERE partition_key = ? FOR UPDATE',
          [partition],
        );
        const [row] = await session.rows(
          'SELECT COUNT(*) AS entries FROM log_entries WHERE partition_key = ? AND position > ? AND epoch = ?',
          [partition, position, epoch],
        );
        const entries = Number(row?.['entries']);
        const batch = head?.['batch'] as number;
        const isOurs = head?.['epoch'] === epoch || batch === -recovery.opener;
        assert(
          !isOurs || entries === 0 || batch === recovery.batch || batch < 0,
          'only the batch under way can have moved the head',
        );
        if (isOurs) {
          await session.run('UPDATE log_heads SET epoch = epoch + 1, batch = ? WHERE partition_key = ?', [
            -recovery.opener,
            partition,
          ]);
        }
        found.set(partition, { partition, entries, fenced: !isOurs });
      }
      const hosted = [...found.values()].filter(({ fenced }) => !fenced).map(({ partition }) => partition);
      const raised = await headsOf(session, hosted);
      const copies = await copiesOf(session, recovery.copies);
      await session.exec('COMMIT');
      const inOrder = recovery.lost.map(({ partition }) => found.get(partition) as Recovered);
      return { recovered: inOrder, heads: raised, followed: copies };
    }),
  );
  return {
    engine: engineOver(host, database, recovery.opener, heads, followed, mayCommit),
    recovered,
    strays: [],
  };
}

async function giveWay(session: SqlSession, partition: PartitionKey): Promise<void> {
  // Assigned in their order: the epoch sees what the head was.
  await session.run(
    `INSERT INTO log_heads (partition_key, epoch, position, checksum, batch, forgotten) VALUES (?, 0, 0, ?, ${COPY}, 0)
      ON DUPLICATE KEY UPDATE epoch = IF(batch = ${COPY}, epoch, epoch + 1), batch = ${COPY}`,
    [partition, EMPTY_CHECKSUM],
  );
}

async function copiesOf(session: SqlSession, partitions: readonly PartitionKey[]): Promise<Head[]> {
  // Of an adoption whose answer was lost it is a home by now: whoever asked for that asks again. And whoever stood
  // still may look for copies that others have dropped since.
  return headsOf(session, partitions, ` AND h.batch = ${COPY}`);
}

async function headsOf(session: SqlSession, partitions: readonly PartitionKey[], also = ''): Promise<Head[]> {
  if (partitions.length === 0) return [];
  const among = `h.partition_key IN (${partitions.map(() => '?').join(', ')})`;
  return (await session.rows(`${HEADS} WHERE ${among}${also}`, partitions)).map(headOf);
}
