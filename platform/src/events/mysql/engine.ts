/**
 * The engine of one shard over a server of MySQL's family. A batch is one transaction of few statements: the heads of
 * all touched partitions move in one, which also locks them until the commit; entries and answers go in many rows a
 * statement. Which row of many was refused no server says reliably, so after a refusal the rows are looked up, behind
 * the lock that keeps every other writer out.
 *
 * A connection that is lost leaves nothing if it was lost before the commit, and the batch is tried again. If the commit
 * was under way, its entries tell: they are looked up behind the heads' lock, which the lost transaction held until it
 * ended.
 */
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import { again } from '../../database/mysql/again.ts';
import { insertRows } from '../../database/mysql/insert.ts';
import type { SqlValue } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { isContended, isLost, type SqlDatabase, type SqlSession } from '../../host/sql.ts';
import { archiving } from '../archive/making.ts';
import { sameChecksum } from '../checksum.ts';
import {
  type Append,
  type Attempt,
  commits,
  type Following,
  type Move,
  refusedEpoch,
  refusedKey,
  refusedVersion,
} from '../commit.ts';
import type { Engine } from '../engine.ts';
import type { Entry, Head } from '../log.ts';
import { wholeReader } from './archive.ts';
import { archiveStore } from './archive-store.ts';
import { copiesOn } from './copies.ts';
import { type EndedStreams, endedStreams } from './ended-streams.ts';
import { forgetAnswers } from './forget.ts';
import { quarantineOn } from './quarantine.ts';
import { archiveTables, bytesOf, rowsOf, textOf } from './reader.ts';
import { replaceAnswers } from './replaced-answers.ts';

const ENTRY_COLUMNS = [
  'partition_key',
  'position',
  'epoch',
  'stream',
  'version',
  'type',
  'data',
  'meta',
  'answer_key',
  'at_ms',
  'checksum',
];
const ANSWER_COLUMNS = ['partition_key', 'answer_key', 'position'];
const TRIES_MAX = 3;
const PAUSE_MS = 100;
/** Conditions of one look-up. */
const LOOKED_UP_MAX = 200;

/** @param opened its homes @param followed its copies */
export function engineOver(
  host: Host,
  database: SqlDatabase,
  opener: number,
  opened: readonly Head[],
  followed: readonly Head[],
  mayCommit: () => void = () => undefined,
): Engine {
  const { clock, crypto } = host;
  const ended = endedStreams();

  async function admit(attempt: Attempt): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const begun = { commit: false };
      try {
        await database.session((session) => inTransaction(session, attempt, begun, ended, mayCommit));
        return;
      } catch (error) {
        // Whatever a commit failed of: only its entries tell whether it stands.
        if (begun.commit && isCardumeError(error, 'storage-failed') && (await stands(attempt, error))) return;
        if (tries === TRIES_MAX || !(isLost(error) || isContended(error))) throw error;
        await clock.sleep(tries * PAUSE_MS);
      }
    }
  }

  /**
   * Whether a commit whose answer was lost stands. Of a server that commits its parts one after another, as Vitess does
   * with its shards, some partitions may have moved and others not: an opening tells of each.
   * @throws CardumeError `unknown-outcome` when that cannot be found out: the engine must be opened again
   */
  async function stands({ moves }: Attempt, failure: CardumeError): Promise<boolean> {
    const unknown = (why: string): CardumeError =>
      new CardumeError('unknown-outcome', `${failure.message}; ${why}`, { cause: failure });
    try {
      const standing = await again(clock, () => standingOf(database, moves));
      if (standing > 0 && standing < moves.length) throw unknown('parts of the batch stand');
      return standing > 0;
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      throw unknown('whether the batch stands is not known');
    }
  }

  const homes = commits(crypto, opened, admit);
  const { heads } = homes;
  const rows = rowsOf(clock, database);
  const tables = archiveTables(rows, true); // the opening has made them
  const reader = wholeReader(host, rows, tables);
  const ground = { opener, insert: insertCopied, homes, read: reader.readPartition };
  const copies = copiesOn({ clock, crypto }, database, ground, followed);
  return {
    reader,
    heads,
    commit: homes.commit,
    copies: {
      ...copies,
      adopt(...asked) {
        ended.lookAgain(); // others may have made segments of it
        return copies.adopt(...asked);
      },
    },
    quarantine: quarantineOn(clock, database),
    archive: archiving(crypto, archiveStore(clock, database, tables, heads, ended.mayBeThere)),
    forgetAnswers: (beforeMs, entriesMax) =>
      forgetAnswers(
        clock,
        database,
        heads().map(({ partition }) => partition),
        beforeMs,
        entriesMax,
      ),
    close: () => database.close(),
  };
}

/** How many heads are where a batch has put them; behind their locks, which it held until it ended. */
async function standingOf(database: SqlDatabase, moves: readonly Move[]): Promise<number> {
  const partitions = moves.map(({ to }) => to.partition);
  const among = `partition_key IN (${partitions.map(() => '?').join(', ')})`;
  const at = moves.map(() => '(partition_key = ? AND position = ?)').join(' OR ');
  return database.session(async (session) => {
    await session.exec('START TRANSACTION');
    await session.rows(
      `SELECT epoch FROM log_heads WHERE ${among} ORDER BY partition_key FOR UPDATE`,
      partitions,
    );
    const rows = await session.rows(
      `SELECT partition_key, checksum FROM log_entries WHERE ${among} AND (${at})`,
      [...partitions, ...moves.flatMap(({ to }) => [to.partition, to.position])],
    );
    await session.exec('COMMIT');
    return moves.filter(({ to }) =>
      rows.some(
        (row) =>
          row['partition_key'] === to.partition && sameChecksum(row['checksum'] as Uint8Array, to.checksum),
      ),
    ).length;
  });
}

async function inTransaction(
  session: SqlSession,
  attempt: Attempt,
  begun: { commit: boolean },
  ended: EndedStreams,
  mayCommit: () => void,
): Promise<void> {
  const { appends, moves, firsts, follows } = attempt;
  await session.exec('START TRANSACTION');
  await moveHeads(session, attempt);
  await checkFollows(session, follows, await ended.versions(session, firsts));
  refuseTwice(appends);
  const entries = appends.flatMap((append) => append.entries);
  try {
    await insertRows(session, 'log_entries', ENTRY_COLUMNS, entries.map(cellsOf));
  } catch (error) {
    throw isCardumeError(error, 'conflict') ? await versionThatStands(session, appends, moves, error) : error;
  }
  try {
    await insertRows(session, 'log_answers', ANSWER_COLUMNS, answersOf(entries));
  } catch (error) {
    throw isCardumeError(error, 'conflict') ? await keyThatStands(session, appends, moves, error) : error;
  }
  mayCommit();
  begun.commit = true;
  await session.exec('COMMIT');
}

async function insertCopied(session: SqlSession, entries: readonly Entry[]): Promise<void> {
  await insertRows(session, 'log_entries', ENTRY_COLUMNS, entries.map(cellsOf));
  if (!isTwice(entries)) {
    try {
      await insertRows(session, 'log_answers', ANSWER_COLUMNS, answersOf(entries));
      return;
    } catch (error) {
      if (!isCardumeError(error, 'conflict')) throw error;
    }
  }
  await replaceAnswers(session, entries);
}

/** Some key of a partition. */
function isTwice(entries: readonly Entry[]): boolean {
  const keyed = entries.filter(({ key }) => key !== null);
  return new Set(keyed.map(({ partition, key }) => `${partition} ${key}`)).size < keyed.length;
}

function answersOf(entries: readonly Entry[]): SqlValue[][] {
  return entries
    .filter(({ key }) => key !== null)
    .map(({ partition, key, position }) => [partition, bytesOf(key as string), position]);
}

/** In one statement; a row that is not found tells that another host has the partition. */
async function moveHeads(session: SqlSession, { batch, moves }: Attempt): Promise<void> {
  const marks = moves.map(() => '?').join(', ');
  const cases = moves.map(() => 'WHEN ? THEN ?').join(' ');
  const at = moves.map(() => '(partition_key = ? AND epoch = ? AND position = ?)').join(' OR ');
  const { changes } = await session.run(
    `UPDATE log_heads SET position = CASE partition_key ${cases} END, checksum = CASE partition_key ${cases} END,
      batch = ? WHERE partition_key IN (${marks}) AND (${at})`,
    [
      ...moves.flatMap(({ to }) => [to.partition, to.position]),
      ...moves.flatMap(({ to }) => [to.partition, to.checksum]),
      batch,
      ...moves.map(({ to }) => to.partition),
      ...moves.flatMap(({ from }) => [from.partition, from.epoch, from.position]),
    ],
  );
  if (changes === moves.length) return;
  const rows = await session.rows(
    `SELECT partition_key, epoch, position FROM log_heads WHERE partition_key IN (${marks})`,
    moves.map(({ to }) => to.partition),
  );
  // Those that have moved show where they are now.
  const fenced = moves.find(
    ({ to }) =>
      !rows.some(
        (row) =>
          row['partition_key'] === to.partition &&
          row['epoch'] === to.epoch &&
          row['position'] === to.position,
      ),
  );
  if (fenced === undefined)
    throw new CardumeError('unknown-outcome', 'the heads stand where this batch would put them already');
  throw refusedEpoch(fenced.append, fenced.from);
}

async function checkFollows(
  session: SqlSession,
  follows: readonly Following[],
  ended: ReadonlyMap<string, number>,
): Promise<void> {
  const before = follows
    .map(({ append, entry }) => ({ append, entry, version: (entry.version as number) - 1 }))
    .filter(({ entry, version }) => ended.get(entry.stream) !== version);
  const found = await streamsAt(
    session,
    before.map(({ entry, version }) => [entry.partition, entry.stream, version] as const),
  );
  for (const { append, entry, version } of before)
    if (!found.has(`${entry.partition} ${version} ${entry.stream}`)) throw refusedVersion(append, entry);
}

/** @returns `partition version stream` → position, of those that there are */
async function streamsAt(
  session: SqlSession,
  wanted: readonly (readonly [partition: number, stream: string, version: number])[],
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (let i = 0; i < wanted.length; i += LOOKED_UP_MAX) {
    const some = wanted.slice(i, i + LOOKED_UP_MAX);
    const rows = await session.rows(
      `SELECT partition_key, stream, version, position FROM log_entries WHERE ${some
        .map(() => '(partition_key = ? AND stream = ? AND version = ?)')
        .join(' OR ')}`,
      some.flatMap(([partition, stream, version]): SqlValue[] => [partition, bytesOf(stream), version]),
    );
    for (const { partition_key, stream, version, position } of rows)
      found.set(`${partition_key} ${version} ${textOf(stream)}`, position as number);
  }
  return found;
}

/** A key twice in one batch: the index would not say which. */
function refuseTwice(appends: readonly Append[]): void {
  const seen = new Set<string>();
  for (const { number, partition, entries } of appends) {
    for (const { key } of entries) {
      if (key === null) continue;
      const name = `${partition} ${key}`;
      if (seen.has(name)) throw refusedKey(number, key);
      seen.add(name);
    }
  }
}

const isBefore = (moves: readonly Move[], partition: number, position: number): boolean =>
  moves.some(({ from }) => from.partition === partition && position <= from.position);

async function versionThatStands(
  session: SqlSession,
  appends: readonly Append[],
  moves: readonly Move[],
  error: CardumeError,
): Promise<Error> {
  const events = appends.flatMap(({ number, entries }) =>
    entries.filter(({ version }) => version !== null).map((entry) => ({ number, entry })),
  );
  const found = await streamsAt(
    session,
    events.map(({ entry }) => [entry.partition, entry.stream, entry.version as number] as const),
  );
  for (const { number, entry } of events) {
    const position = found.get(`${entry.partition} ${entry.version} ${entry.stream}`);
    if (position !== undefined && isBefore(moves, entry.partition, position))
      return refusedVersion(number, entry);
  }
  return new Error('a row was refused as a second one, and no first one stands', { cause: error });
}

async function keyThatStands(
  session: SqlSession,
  appends: readonly Append[],
  moves: readonly Move[],
  error: CardumeError,
): Promise<Error> {
  for (const { number, partition, entries } of appends) {
    for (const { key } of entries) {
      if (key === null) continue;
      const [row] = await session.rows(
        'SELECT position FROM log_answers WHERE partition_key = ? AND answer_key = ?',
        [partition, bytesOf(key)],
      );
      if (row !== undefined && isBefore(moves, partition, row['position'] as number))
        return refusedKey(number, key);
    }
  }
  return new Error('an answer was refused as a second one, and no first one stands', { cause: error });
}

function cellsOf(entry: Entry): SqlValue[] {
  const { partition, position, epoch, stream, version, type, data, meta, key, atMs, checksum } = entry;
  const answerKey = key === null ? null : bytesOf(key);
  return [partition, position, epoch, bytesOf(stream), version, type, data, meta, answerKey, atMs, checksum];
}
