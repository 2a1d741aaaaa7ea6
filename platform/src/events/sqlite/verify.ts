/**
 * Walks a shard's log and says what is wrong with it: gaps in positions, epochs that go back, a broken chain of
 * checksums, gaps in the versions of a stream, answers and heads that do not fit their entries. Reads only; the log
 * may be open elsewhere (what is committed meanwhile is not seen: all is read in one snapshot).
 *
 * Cost: one pass over the entries in order, one over the index of streams; memory does not grow with the log.
 */
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { checksumOf, EMPTY_CHECKSUM, sameChecksum } from '../checksum.ts';
import type { Entry, Head, PartitionKey } from '../log.ts';
import { openReader } from './reader.ts';
import { checkSchema } from './schema.ts';
import { endOf, partitionOf } from './spot.ts';

export interface Verification {
  readonly heads: readonly Head[];
  readonly entries: number;
  /** What is wrong, at most `FAULTS_MAX`; empty for a sound log. */
  readonly faults: readonly string[];
}

export const FAULTS_MAX = 100;
const PAGE_ENTRIES = 1_000;

/** @throws CardumeError `storage-failed` when the file is missing, damaged, or written by a newer program */
export function verifyLog(host: Host, path: string): Verification {
  const database = host.disk.database(path, { readOnly: true });
  try {
    checkSchema(path, database);
    database.exec('BEGIN');
    const faults: string[] = [];
    const note = (fault: string): void => {
      if (faults.length < FAULTS_MAX) faults.push(fault);
    };
    const heads = headsOf(database);
    let entries = 0;
    for (const partition of partitionsOf(database, heads.keys())) {
      entries += walk(host, database, partition, heads.get(partition), note);
    }
    checkStreams(database, note);
    checkAnswers(database, note);
    database.exec('COMMIT');
    return { heads: [...heads.values()], entries, faults };
  } finally {
    database.close();
  }
}

type Note = (fault: string) => void;

function headsOf(database: Database): Map<PartitionKey, Head> {
  const reader = openReader(database);
  const rows = database
    .prepare('SELECT partition, epoch, position, checksum FROM heads ORDER BY partition')
    .all();
  return new Map(
    rows.map((row) => {
      const head = row as unknown as Omit<Head, 'lastEpoch'>;
      return [head.partition, { ...head, lastEpoch: reader.epochAt(head.partition, head.position) ?? 0 }];
    }),
  );
}

/** Hops from one partition's first entry to the next one's. */
function partitionsOf(database: Database, heads: Iterable<PartitionKey>): Set<PartitionKey> {
  const next = database.prepare('SELECT spot FROM entries WHERE spot >= ? ORDER BY spot LIMIT 1');
  const partitions = new Set(heads);
  for (let row = next.get(0); row !== undefined; ) {
    const partition = partitionOf(row['spot'] as number);
    partitions.add(partition);
    row = next.get(endOf(partition));
  }
  return partitions;
}

/** @returns entries of the partition */
function walk(
  host: Host,
  database: Database,
  partition: PartitionKey,
  head: Head | undefined,
  note: Note,
): number {
  const reader = openReader(database);
  let last: Pick<Entry, 'position' | 'epoch' | 'checksum'> = {
    position: 0,
    epoch: 0,
    checksum: EMPTY_CHECKSUM,
  };
  let entries = 0;
  for (;;) {
    const page = reader.readPartition(partition, last.position, PAGE_ENTRIES);
    for (const entry of page) {
      const at = `partition ${partition}, position ${entry.position}`;
      if (entry.position !== last.position + 1) note(`${at}: follows position ${last.position}`);
      if (entry.epoch < last.epoch) note(`${at}: epoch ${entry.epoch} after ${last.epoch}`);
      if (!sameChecksum(checksumOf(host.crypto, last.checksum, entry), entry.checksum)) {
        note(`${at}: the checksum does not fit the entry and the one before it`);
      }
      last = entry;
      entries += 1;
    }
    if (page.length < PAGE_ENTRIES) break;
  }
  if (head === undefined) note(`partition ${partition}: has entries and no head`);
  else if (head.position !== last.position || !sameChecksum(head.checksum, last.checksum)) {
    note(`partition ${partition}: the head is at ${head.position}, the last entry at ${last.position}`);
  } else if (head.epoch < last.epoch)
    note(`partition ${partition}: the head's epoch is older than its entries`);
  return entries;
}

/** The index by stream and version holds all that is needed: one ordered pass. */
function checkStreams(database: Database, note: Note): void {
  const rows = database
    .prepare('SELECT stream, version, spot FROM entries WHERE version IS NOT NULL ORDER BY stream, version')
    .iterate();
  let last = { stream: '', version: 0, spot: 0 };
  for (const row of rows) {
    const next = row as unknown as typeof last;
    const same = next.stream === last.stream;
    if (next.version !== (same ? last.version + 1 : 1)) {
      note(`stream '${next.stream}': version ${next.version} follows ${same ? last.version : 'nothing'}`);
    } else if (same && (partitionOf(next.spot) !== partitionOf(last.spot) || next.spot <= last.spot)) {
      note(`stream '${next.stream}': version ${next.version} does not stand behind version ${last.version}`);
    }
    last = next;
  }
}

/** Every remembered answer names an entry with its key; keys of entries may have been forgotten. */
function checkAnswers(database: Database, note: Note): void {
  const rows = database
    .prepare(
      `SELECT a.partition, a.position FROM answers a
       LEFT JOIN entries e ON e.spot = (a.partition << 38) + a.position
       WHERE e.key IS NOT a.key`,
    )
    .iterate();
  for (const row of rows) {
    note(
      `partition ${row['partition']}: an answer points to position ${row['position']}, which has another key`,
    );
  }
}
