/**
 * The SQLite engine of one shard. A batch is one transaction, and every call blocks the thread until it is done. First
 * each touched head moves from the epoch and position that this engine believes in: no row means that another host has
 * the partition (fenced). Then the entries go in; the indexes refuse a second entry of a stream's version or a second
 * answer of a key.
 */
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import { rollBack, transaction } from '../../database/sqlite/transaction.ts';
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { archiving } from '../archive/making.ts';
import {
  type Attempt,
  commits,
  type Following,
  Refused,
  refusedEpoch,
  refusedKey,
  refusedVersion,
} from '../commit.ts';
import { COPY } from '../copies.ts';
import type { Engine, First, Opening } from '../engine.ts';
import type { Entry, Head, PartitionKey } from '../log.ts';
import { checkMap } from '../schema.ts';
import { wholeReader } from './archive.ts';
import { setStraysAside } from './archive-files.ts';
import { archiveStore } from './archive-store.ts';
import { copiesIn } from './copies.ts';
import { prepareForget } from './forget.ts';
import { quarantineIn } from './quarantine.ts';
import { openReader } from './reader.ts';
import { hasGivenAway, prepareSchema } from './schema.ts';
import { endOf, spotOf } from './spot.ts';

export async function openEngine(
  host: Host,
  path: string,
  start: First,
  mayCommit?: () => void,
): Promise<Opening> {
  const { partitions, opener, floors, yielded = [] } = start;
  const database = host.disk.database(path);
  try {
    prepareSchema(path, database);
    checkMap(path, hasGivenAway(database), start);
    const raise = database.prepare(
      `INSERT INTO heads (partition, epoch, position, checksum, batch, forgotten) VALUES (?, max(1, ?), 0, zeroblob(16), ?, 0)
       ON CONFLICT (partition) DO UPDATE SET epoch = max(epoch + 1, excluded.epoch), batch = excluded.batch`,
    );
    const giveWay = database.prepare(
      `INSERT INTO heads (partition, epoch, position, checksum, batch, forgotten) VALUES (?, 0, 0, zeroblob(16), ${COPY}, 0)
       ON CONFLICT (partition) DO UPDATE SET epoch = epoch + 1, batch = ${COPY} WHERE batch <> ${COPY}`,
    );
    transaction(database, () => {
      for (const partition of yielded) giveWay.run(partition);
      for (const partition of partitions) raise.run(partition, floors?.get(partition) ?? 0, -opener);
    });
    const copies = [...start.copies, ...yielded];
    const engine = engineOver(host, path, database, { partitions, opener, copies }, mayCommit);
    // Whoever was about to make segments of them is fenced by now.
    const strays = await setStraysAside(host, path, database, engine.heads());
    return { engine, recovered: [], strays };
  } catch (error) {
    database.close();
    throw error;
  }
}

export function engineOver(
  host: Host,
  path: string,
  database: Database,
  { partitions, opener, copies: followed }: Pick<First, 'partitions' | 'opener' | 'copies'>,
  mayCommit: () => void = () => undefined,
): Engine {
  const reader = openReader(database);
  const statements = {
    advance: database.prepare(
      'UPDATE heads SET position = ?, checksum = ?, batch = ? WHERE partition = ? AND epoch = ? AND position = ?',
    ),
    insert: database.prepare(
      `INSERT INTO entries (spot, epoch, stream, version, type, data, meta, key, at_ms, checksum)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    remember: database.prepare('INSERT INTO answers (partition, key, position) VALUES (?, ?, ?)'),
    versionStands: database.prepare(
      'SELECT 1 FROM entries WHERE stream = ? AND version = ? AND +spot > ? AND +spot < ?',
    ),
    resolve: database.prepare(
      `INSERT INTO meta (name, value) VALUES ('resolved', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1`,
    ),
    batchOf: database.prepare('SELECT epoch, batch FROM heads WHERE partition = ?'),
    head: database.prepare('SELECT epoch, position, checksum FROM heads WHERE partition = ?'),
    hasEnded: database.prepare('SELECT 1 FROM ended_streams LIMIT 1'),
    endedVersion: database.prepare('SELECT version FROM ended_streams WHERE partition = ? AND stream = ?'),
  };
  const forget = prepareForget(database);
  /** Whether a stream has ended; null when that must be looked up. It is asked for by every batch. */
  let haveEnded: boolean | null = null;

  function headOf(partition: PartitionKey): Head {
    const row = statements.head.get(partition) as { epoch: number; position: number; checksum: Uint8Array };
    return { partition, lastEpoch: reader.epochAt(partition, row.position) ?? 0, ...row };
  }

  function moveHeads({ batch, moves }: Attempt): void {
    for (const { from, to, append } of moves) {
      const { partition, epoch, position, checksum } = to;
      const moved = statements.advance.run(position, checksum, batch, partition, epoch, from.position);
      if (moved.changes !== 1) throw refusedEpoch(append, from);
    }
  }

  function checkFollows({ firsts, follows }: Attempt): void {
    const ended = endedOf(firsts);
    for (const { append, entry } of follows) {
      const { stream, version, partition } = entry;
      const before = (version as number) - 1;
      if (ended.get(stream) === before) continue;
      const stands = statements.versionStands.get(stream, before, spotOf(partition, 0), endOf(partition));
      if (stands === undefined) throw refusedVersion(append, entry);
    }
  }

  /**
   * Last versions of those streams that have ended.
   * @throws Refused for a version that stands in segments, where no index guards it
   */
  function endedOf(firsts: readonly Following[]): ReadonlyMap<string, number> {
    const ended = new Map<string, number>();
    haveEnded ??= statements.hasEnded.get() !== undefined;
    if (!haveEnded) return ended;
    for (const { append, entry } of firsts) {
      const row = statements.endedVersion.get(entry.partition, entry.stream);
      if (row === undefined) continue;
      const version = row['version'] as number;
      if ((entry.version as number) <= version) throw refusedVersion(append, entry);
      ended.set(entry.stream, version);
    }
    return ended;
  }

  function insert({ appends }: Attempt): void {
    for (const { number, entries } of appends) for (const entry of entries) insertOne(number, entry);
  }

  function write(entry: Entry): void {
    const { partition, position, epoch, stream, version, type, data, meta, key, atMs, checksum } = entry;
    const spot = spotOf(partition, position);
    statements.insert.run(spot, epoch, stream, version, type, data, meta, key, atMs, checksum);
  }

  function insertOne(append: number, entry: Entry): void {
    const { partition, position, key } = entry;
    try {
      write(entry);
    } catch (error) {
      throw isCardumeError(error, 'conflict') ? refusedVersion(append, entry) : error;
    }
    if (key === null) return;
    try {
      statements.remember.run(partition, key, position);
    } catch (error) {
      throw isCardumeError(error, 'conflict') ? refusedKey(append, key) : error;
    }
  }

  function admit(attempt: Attempt): void {
    let committing = false;
    try {
      database.exec('BEGIN IMMEDIATE');
      moveHeads(attempt);
      checkFollows(attempt);
      insert(attempt);
      mayCommit();
      committing = true;
      database.exec('COMMIT');
    } catch (error) {
      rollBack(database);
      if (!committing || error instanceof Refused || !isCardumeError(error, 'storage-failed')) throw error;
      resolveCommit(attempt, error);
    }
  }

  /**
   * A commit that failed while it wrote may have left its frames in the WAL, where a crash would revive them.
   * The next commit overwrites them, if it writes: an update that changes no byte writes nothing. Behind it the batch id
   * in a head says for good whether the batch stands: batches are numbered from 1 by each opener, and opening leaves a
   * negative number.
   * @throws the commit's error when it does not, `unknown-outcome` when the next commit fails too: then this engine
   *   no longer knows its heads and must be opened again
   */
  function resolveCommit({ batch, moves }: Attempt, failure: CardumeError): void {
    const [{ partition, epoch }] = moves.map(({ from }) => from) as [Head];
    let head: { epoch: number; batch: number };
    try {
      transaction(database, () => statements.resolve.run());
      head = statements.batchOf.get(partition) as typeof head;
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      const detail = `${failure.message}; whether the batch stands is not known`;
      throw new CardumeError('unknown-outcome', detail, { cause: failure });
    }
    if (head.epoch !== epoch || head.batch !== batch) throw failure;
  }

  const homes = commits(host.crypto, partitions.map(headOf), async (attempt) => admit(attempt));
  // Nobody else ends streams of what is at home here.
  const mayHaveEnded = (): void => {
    haveEnded = null;
  };
  const archive = archiveStore(host, path, database, reader, homes.heads, mayHaveEnded);
  const whole = wholeReader(host, path, database, reader);
  const read = whole.readPartition;
  const copies = copiesIn(host, database, { opener, insert: write, headOf, homes, archive, read });
  copies.take(followed);
  return {
    reader: whole,
    heads: homes.heads,
    commit: homes.commit,
    copies: {
      ...copies,
      adopt(...asked) {
        mayHaveEnded(); // of what is at home from now on others may have ended some
        return copies.adopt(...asked);
      },
    },
    forgetAnswers: async (beforeMs, entriesMax) =>
      forget(
        homes.heads().map(({ partition }) => partition),
        beforeMs,
        entriesMax,
      ),
    archive: archiving(host.crypto, archive),
    quarantine: quarantineIn(host.clock, database),
    close: async () => database.close(),
  };
}
