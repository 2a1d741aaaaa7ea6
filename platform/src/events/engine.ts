/**
 * The SQLite engine of one shard; runs on a writer thread and is the only writer of its partitions while their
 * epochs are its own.
 *
 * A batch is one transaction. Positions and checksums are computed before it begins. In it, first each touched head
 * moves from the epoch and position that this engine believes in: no row means that another host has the partition
 * (fenced). Then the entries go in; the indexes refuse a second entry of a stream's version or a second answer of a
 * key. An append that is refused takes the later appends of its partition with it, since they may rest on it; the
 * transaction is rolled back and done again without them. So of each partition a prefix of its appends stands, and
 * the loop ends after as many rounds as there are partitions, plus one.
 */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Database } from '../host/disk.ts';
import type { Host } from '../host/host.ts';
import { type Batch, type Failure, type Outcome, unpack } from './batch.ts';
import { checksumOf, joinChecksums } from './checksum.ts';
import { prepareForget } from './forget.ts';
import type { Entry, Head, PartitionKey } from './log.ts';
import { openReader, type Reader } from './reader.ts';
import { recentVersions } from './recent-versions.ts';
import { prepareSchema } from './schema.ts';
import { endOf, spotOf } from './spot.ts';
import { rollBack, transaction } from './transaction.ts';

export interface Engine {
  readonly reader: Reader;
  heads(): Head[];
  /** @returns the outcome, and the entries that stand now */
  commit(batch: Batch): { readonly outcome: Outcome; readonly entries: Entry[] };
  /** @returns how many entries it looked at: fewer than `entriesMax` means that no older answer is left */
  forgetAnswers(beforeMs: number, entriesMax: number): number;
  close(): void;
}

/** A first opening. */
export interface First {
  readonly partitions: readonly PartitionKey[];
  /** A number of the opener's own, from 1 on: by it a head tells who raised its epoch last. */
  readonly opener: number;
}

interface Append {
  readonly partition: PartitionKey;
  readonly entries: Entry[];
}

class Refused extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.detail);
    this.failure = failure;
  }
}

/** Opens the file and raises the epoch of the partitions; until the first batch their heads name the opener. */
export function openEngine(host: Host, path: string, { partitions, opener }: First): Engine {
  const database = host.disk.database(path);
  try {
    prepareSchema(path, database);
    const raise = database.prepare(
      `INSERT INTO heads (partition, epoch, position, checksum, batch, forgotten) VALUES (?, 1, 0, zeroblob(16), ?, 0)
       ON CONFLICT (partition) DO UPDATE SET epoch = epoch + 1, batch = excluded.batch`,
    );
    transaction(database, () => {
      for (const partition of partitions) raise.run(partition, -opener);
    });
    return engineOver(host, database, partitions);
  } catch (error) {
    database.close();
    throw error;
  }
}

export function engineOver(host: Host, database: Database, partitions: readonly PartitionKey[]): Engine {
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
  };
  const forget = prepareForget(database);
  const heads = new Map<PartitionKey, Head>();
  for (const partition of partitions) {
    const row = statements.head.get(partition) as { epoch: number; position: number; checksum: Uint8Array };
    heads.set(partition, { partition, lastEpoch: reader.epochAt(partition, row.position) ?? 0, ...row });
  }

  /** Streams are written while they are young: most versions that are looked for were committed a moment ago. */
  const recent = recentVersions();

  function versionStands(stream: string, version: number, partition: PartitionKey): boolean {
    if (recent.has(stream, version)) return true;
    return (
      statements.versionStands.get(stream, version, spotOf(partition, 0), endOf(partition)) !== undefined
    );
  }

  /** Gives every append its positions and checksums, as if all were accepted. */
  function chain(batch: Batch): Append[] {
    const ends = new Map<PartitionKey, { position: number; checksum: Uint8Array }>();
    const appends: Append[] = [];
    let index = 0;
    for (let i = 0; i < batch.appends.length; i += 2) {
      const partition = batch.appends[i] as number;
      const count = batch.appends[i + 1] as number;
      const head = heads.get(partition) as Head;
      let { position, checksum } = ends.get(partition) ?? head;
      const entries: Entry[] = [];
      for (let n = 0; n < count; n += 1) {
        position += 1;
        const entry = unpack(batch, index, partition, head.epoch, position);
        checksum = checksumOf(host.crypto, checksum, entry);
        entry.checksum = checksum;
        entries.push(entry);
        index += 1;
      }
      ends.set(partition, { position, checksum });
      appends.push({ partition, entries });
    }
    return appends;
  }

  /** Moves the heads of the partitions to the last entry that the batch gives each. */
  function moveHeads(
    batch: Batch,
    appends: readonly Append[],
    failed: readonly (Failure | undefined)[],
  ): Head[] {
    const moved = new Map<PartitionKey, Head>();
    const first = new Map<PartitionKey, number>();
    appends.forEach(({ partition, entries }, i) => {
      if (failed[i] !== undefined) return;
      const last = entries.at(-1) as Entry;
      if (!first.has(partition)) first.set(partition, i);
      moved.set(partition, {
        partition,
        epoch: last.epoch,
        lastEpoch: last.epoch,
        position: last.position,
        checksum: last.checksum,
      });
    });
    for (const { partition, epoch, position, checksum } of moved.values()) {
      const from = heads.get(partition) as Head;
      const result = statements.advance.run(
        position,
        checksum,
        batch.number,
        partition,
        epoch,
        from.position,
      );
      if (result.changes !== 1) {
        throw new Refused({
          append: first.get(partition) as number,
          code: 'fenced',
          detail: `partition ${partition} was opened elsewhere after epoch ${epoch}`,
        });
      }
    }
    return [...moved.values()];
  }

  /** Versions of a stream stand without gaps: only a batch's first event of a stream must look for the one before. */
  function insert(appends: readonly Append[], failed: readonly (Failure | undefined)[]): void {
    const versions = new Map<string, number>();
    for (let i = 0; i < appends.length; i += 1) {
      if (failed[i] !== undefined) continue;
      for (const entry of (appends[i] as Append).entries) {
        const { partition, position, epoch, stream, version, type, data, meta, key, atMs, checksum } = entry;
        if (version !== null) {
          const before = versions.get(stream);
          const follows =
            before === undefined
              ? version === 1 || versionStands(stream, version - 1, partition)
              : version === before + 1;
          if (!follows) throw refusedVersion(i, entry);
          versions.set(stream, version);
        }
        try {
          const spot = spotOf(partition, position);
          statements.insert.run(spot, epoch, stream, version, type, data, meta, key, atMs, checksum);
        } catch (error) {
          throw isCardumeError(error, 'conflict') ? refusedVersion(i, entry) : error;
        }
        if (key === null) continue;
        try {
          statements.remember.run(partition, key, position);
        } catch (error) {
          if (!isCardumeError(error, 'conflict')) throw error;
          throw new Refused({ append: i, code: 'already-exists', detail: `the key '${key}' has an answer` });
        }
      }
    }
  }

  function refusedVersion(append: number, { stream, version }: Entry): Refused {
    const detail = `version ${version} of '${stream}' exists already, or does not follow the last one`;
    return new Refused({ append, code: 'conflict', detail });
  }

  /** One try at the transaction; after a throw nothing of it stands. */
  function attempt(
    batch: Batch,
    appends: readonly Append[],
    failed: readonly (Failure | undefined)[],
  ): Head[] {
    let moved: Head[] = [];
    let committing = false;
    try {
      database.exec('BEGIN IMMEDIATE');
      moved = moveHeads(batch, appends, failed);
      insert(appends, failed);
      committing = true;
      database.exec('COMMIT');
    } catch (error) {
      rollBack(database);
      if (!committing || !isCardumeError(error, 'storage-failed')) throw error;
      resolveCommit(batch, moved[0] as Head, error);
    }
    return moved;
  }

  /**
   * A commit that failed while it wrote may have left its frames in the WAL, where a crash would revive them.
   * The next commit overwrites them, if it writes: an update that changes no byte writes nothing. Behind it the batch id
   * in a head says for good whether the batch stands: batches are numbered from 1 by each opener, and opening leaves a
   * negative number.
   * @throws the commit's error when it does not, `unknown-outcome` when the next commit fails too: then this engine
   *   no longer knows its heads and must be opened again
   */
  function resolveCommit(batch: Batch, { partition, epoch }: Head, failure: CardumeError): void {
    let head: { epoch: number; batch: number };
    try {
      transaction(database, () => statements.resolve.run());
      head = statements.batchOf.get(partition) as typeof head;
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      const detail = `${failure.message}; whether the batch stands is not known`;
      throw new CardumeError('unknown-outcome', detail, { cause: failure });
    }
    if (head.epoch !== epoch || head.batch !== batch.number) throw failure;
  }

  function fail(appends: readonly Append[], failed: (Failure | undefined)[], failure: Failure): void {
    const { partition } = appends[failure.append] as Append;
    for (let i = failure.append; i < appends.length; i += 1) {
      if (failed[i] !== undefined || (appends[i] as Append).partition !== partition) continue;
      const alike = i === failure.append || failure.code === 'fenced';
      failed[i] = alike
        ? { ...failure, append: i }
        : { append: i, code: 'conflict', detail: 'an earlier append of the same batch failed' };
    }
  }

  return {
    reader,
    heads: () => [...heads.values()],
    commit(batch) {
      const appends = chain(batch);
      const failed: (Failure | undefined)[] = new Array(appends.length).fill(undefined);
      let left = appends.length;
      while (left > 0) {
        try {
          for (const head of attempt(batch, appends, failed)) heads.set(head.partition, head);
          break;
        } catch (error) {
          if (error instanceof Refused) fail(appends, failed, error.failure);
          else if (!isCardumeError(error)) throw error;
          else {
            const { code, message } = error;
            for (let i = 0; i < appends.length; i += 1) failed[i] ??= { append: i, code, detail: message };
          }
        }
        left = failed.filter((failure) => failure === undefined).length;
      }
      const entries: Entry[] = [];
      appends.forEach((append, i) => {
        if (failed[i] === undefined) entries.push(...append.entries);
      });
      for (const { stream, version } of entries) if (version !== null) recent.add(stream, version);
      return {
        outcome: {
          batch: batch.number,
          positions: appends.map((append, i) =>
            failed[i] === undefined ? (append.entries[0] as Entry).position : 0,
          ),
          failures: failed.filter((failure) => failure !== undefined),
          checksums: joinChecksums(entries),
        },
        entries,
      };
    },
    forgetAnswers: (beforeMs, entriesMax) => forget(heads.keys(), beforeMs, entriesMax),
    close: () => database.close(),
  };
}
