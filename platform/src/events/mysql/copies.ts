/** Copies on a server: see ../copies.ts. */
import { again } from '../../database/mysql/again.ts';
import type { SqlValue } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import { EMPTY_CHECKSUM } from '../checksum.ts';
import type { Commits } from '../commit.ts';
import {
  COPY,
  type Copies,
  type CopyStep,
  checkEndsAt,
  copyPages,
  refusalOf,
  refusedCopy,
  stepOf,
} from '../copies.ts';
import type { Reader } from '../engine.ts';
import { fencedError } from '../group-commit.ts';
import type { Copied, CopyPage, Entry, Head, PartitionKey } from '../log.ts';
import { dropArchive } from './archive-store.ts';
import { cutIn } from './cut.ts';
import { deleteRows } from './delete.ts';
import { HEADS, headOf } from './heads.ts';
import { markGivenAway } from './schema.ts';

export interface CopiesGround {
  readonly opener: number;
  /** Rows of the log: entries, and the answers that they are. */
  readonly insert: (session: SqlSession, entries: readonly Entry[]) => Promise<void>;
  readonly read: Reader['readPartition'];
  /** The engine's homes. */
  readonly homes: Pick<Commits, 'heads' | 'enter' | 'leave'>;
}

/** Below all epochs of a home; the column is unsigned, so it equals none. */
const NO_EPOCH = -1;

export function copiesOn(
  { clock, crypto }: Pick<Host, 'clock' | 'crypto'>,
  database: SqlDatabase,
  { opener, insert, homes, read }: CopiesGround,
  followed: readonly Head[],
): Copies {
  const heads = new Map<PartitionKey, Head>(followed.map((head) => [head.partition, head]));
  const inTransaction = <T>(work: (session: SqlSession) => Promise<T>): Promise<T> =>
    again(clock, () =>
      database.session(async (session) => {
        await session.exec('START TRANSACTION');
        const result = await work(session);
        await session.exec('COMMIT');
        return result;
      }),
    );

  /** Behind its lock. */
  async function locked(session: SqlSession, partition: PartitionKey): Promise<Head & { isCopy: boolean }> {
    const [mark] = await session.rows('SELECT batch FROM log_heads WHERE partition_key = ? FOR UPDATE', [
      partition,
    ]);
    if (mark === undefined) throw refusedCopy(partition);
    const [row] = await session.rows(`${HEADS} WHERE h.partition_key = ?`, [partition]);
    return { ...headOf(row as never), isCopy: mark['batch'] === COPY };
  }

  async function follow(partition: PartitionKey, aboveEpoch: number): Promise<Head> {
    const { isCopy, ...head } = await inTransaction(async (session) => {
      await session.run(
        'UPDATE log_heads SET epoch = GREATEST(epoch, ?) WHERE partition_key = ? AND batch = ?',
        [aboveEpoch, partition, COPY],
      );
      return locked(session, partition);
    });
    if (!isCopy) throw refusedCopy(partition);
    heads.set(partition, head);
    return head;
  }

  /** In one statement, behind their locks, in the order in which all openers lock them. */
  async function copiesLocked(
    session: SqlSession,
    partitions: readonly PartitionKey[],
  ): Promise<ReadonlyMap<PartitionKey, Head>> {
    if (partitions.length === 0) return new Map();
    const among = `IN (${partitions.map(() => '?').join(', ')})`;
    const marks = await session.rows(
      `SELECT partition_key, batch FROM log_heads WHERE partition_key ${among} ORDER BY partition_key FOR UPDATE`,
      partitions,
    );
    const rows = await session.rows(`${HEADS} WHERE h.partition_key ${among}`, partitions);
    const homeMarks = marks.filter(({ batch }) => batch !== COPY);
    return new Map(
      rows
        .map(headOf)
        .filter((head) => !homeMarks.some((mark) => mark['partition_key'] === head.partition))
        .map((head) => [head.partition, head]),
    );
  }

  /** After a commit that was cut off and tried again nothing is missing: the tail catches up by itself. */
  async function copy(pages: readonly CopyPage[]): Promise<Copied[]> {
    const partitions = pages.map(({ partition }) => partition);
    try {
      const copied = await inTransaction(async (session) => {
        const found = await copiesLocked(session, partitions);
        const steps: CopyStep[] = [];
        const told: Copied[] = [];
        for (const page of pages) {
          const { partition } = page;
          try {
            const from = found.get(partition);
            if (from === undefined) throw refusedCopy(partition);
            const step = await stepOf(crypto, from, page, read);
            steps.push(step);
            told.push({ partition, head: step.to, added: step.added.length });
          } catch (error) {
            const refused = refusalOf(error);
            if (refused === null) throw error;
            told.push({ partition, refused });
          }
        }
        await moveHeads(
          session,
          steps.filter(({ from, to, added }) => added.length > 0 || to.epoch > from.epoch),
        );
        await insert(
          session,
          steps.flatMap(({ added }) => added),
        );
        return told;
      });
      for (const one of copied) if ('head' in one) heads.set(one.partition, one.head);
      return copied;
    } catch (error) {
      for (const partition of partitions) heads.delete(partition);
      throw error;
    }
  }

  const ownEpoch = (partition: PartitionKey): number =>
    homes.heads().find((head) => head.partition === partition)?.epoch ?? NO_EPOCH;

  return {
    heads: () => [...heads.values()],
    async begin(partition) {
      await again(clock, () =>
        database.run(
          `INSERT INTO log_heads (partition_key, epoch, position, checksum, batch, forgotten) VALUES (?, 0, 0, ?, ?, 0)
            ON DUPLICATE KEY UPDATE partition_key = VALUES(partition_key)`,
          [partition, EMPTY_CHECKSUM, COPY],
        ),
      );
      return follow(partition, 0);
    },
    follow,
    async check(partition) {
      heads.delete(partition);
      const [mark] = await again(clock, () =>
        database.rows('SELECT batch FROM log_heads WHERE partition_key = ?', [partition]),
      );
      if (mark !== undefined && mark['batch'] !== COPY) throw refusedCopy(partition);
    },
    copy: (pages) => copyPages(pages, copy),
    async adopt(partition, epoch, floor = 0) {
      const head = await inTransaction(async (session) => {
        const { changes } = await session.run(
          `UPDATE log_heads SET epoch = GREATEST(epoch + 1, ?), batch = ? WHERE partition_key = ?
            AND ((batch = ? AND epoch = ?) OR CAST(epoch AS SIGNED) = ? OR batch = ?)`,
          // The last: an earlier try whose answer was lost.
          [floor, -opener, partition, COPY, epoch, ownEpoch(partition), -opener],
        );
        if (changes !== 1) throw refusedCopy(partition);
        const { isCopy: _, ...adopted } = await locked(session, partition);
        return adopted;
      });
      heads.delete(partition);
      homes.enter(head);
      return head;
    },
    async release(partition) {
      const epoch = ownEpoch(partition);
      const head = await inTransaction(async (session) => {
        const { isCopy, ...found } = await locked(session, partition);
        // One above as a copy: a first try whose answer was lost.
        if (isCopy && found.epoch === epoch + 1) return found;
        if (isCopy || found.epoch !== epoch) throw fencedError(partition);
        await session.run('UPDATE log_heads SET epoch = epoch + 1, batch = ? WHERE partition_key = ?', [
          COPY,
          partition,
        ]);
        await markGivenAway(session);
        return { ...found, epoch: epoch + 1 };
      });
      homes.leave(partition);
      heads.set(partition, head);
      return head;
    },
    async unseat(partition) {
      const head = await inTransaction(async (session) => {
        const { isCopy, ...found } = await locked(session, partition);
        if (isCopy) throw refusedCopy(partition);
        await session.run('UPDATE log_heads SET epoch = epoch + 1, batch = ? WHERE partition_key = ?', [
          COPY,
          partition,
        ]);
        return { ...found, epoch: found.epoch + 1 };
      });
      homes.leave(partition);
      heads.set(partition, head);
      return head;
    },
    async cut(seen, afterPosition, entriesMax) {
      const { partition } = seen;
      heads.delete(partition);
      const { isCopy: _, ...left } = await inTransaction(async (session) => {
        const { isCopy, ...head } = await locked(session, partition);
        if (!isCopy) throw refusedCopy(partition);
        checkEndsAt(seen, head);
        await cutIn(clock, session, seen, afterPosition, entriesMax);
        return locked(session, partition);
      });
      // Until it is cut whole nobody folds what is about to go.
      return left.position > afterPosition ? left : follow(partition, 0);
    },
    async drop(partition, entriesMax) {
      heads.delete(partition);
      return inTransaction(async (session) => {
        const [mark] = await session.rows('SELECT batch FROM log_heads WHERE partition_key = ? FOR UPDATE', [
          partition,
        ]);
        if (mark !== undefined && mark['batch'] !== COPY) throw refusedCopy(partition);
        const rows = await session.rows(
          'SELECT position, answer_key FROM log_entries WHERE partition_key = ? ORDER BY position DESC LIMIT ?',
          [partition, BigInt(entriesMax)],
        );
        await deleteRows(
          session,
          'log_answers',
          'answer_key',
          partition,
          rows.flatMap(({ answer_key: key }) => (key === null || key === undefined ? [] : [key])),
        );
        const keyed = rows.filter(({ answer_key: key }) => key !== null && key !== undefined);
        const replacing = keyed.map(({ position }) => position as number);
        await deleteRows(session, 'log_replaced_answers', 'position', partition, replacing);
        const positions = rows.map(({ position }) => position as number);
        await deleteRows(session, 'log_entries', 'position', partition, positions);
        if (rows.length === entriesMax) return entriesMax;
        const dropped = rows.length + (await dropArchive(session, partition, entriesMax - rows.length));
        if (dropped < entriesMax)
          await session.run('DELETE FROM log_heads WHERE partition_key = ?', [partition]);
        return dropped;
      });
    },
  };
}

/** In one statement; they are locked. */
async function moveHeads(session: SqlSession, steps: readonly CopyStep[]): Promise<void> {
  if (steps.length === 0) return;
  const cases = steps.map(() => 'WHEN ? THEN ?').join(' ');
  const byPartition = (value: (to: Head) => SqlValue): SqlValue[] =>
    steps.flatMap(({ to }) => [to.partition, value(to)]);
  await session.run(
    `UPDATE log_heads SET epoch = CASE partition_key ${cases} END, position = CASE partition_key ${cases} END,
      checksum = CASE partition_key ${cases} END WHERE partition_key IN (${steps.map(() => '?').join(', ')})`,
    [
      ...byPartition(({ epoch }) => epoch),
      ...byPartition(({ position }) => position),
      ...byPartition(({ checksum }) => checksum),
      ...steps.map(({ to }) => to.partition),
    ],
  );
}
