/** A log's file as it stands, in one snapshot: what `verifyLog` looks at. */
import { checkSchema } from '../../database/sqlite/migrate.ts';
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { archivedIn } from '../archive/archived.ts';
import { readingPartitions } from '../archive/reading.ts';
import type { Snapshot, Version } from '../engine.ts';
import type { Head, PartitionKey } from '../log.ts';
import { archiveOf } from './archive.ts';
import { openReader } from './reader.ts';
import { hasTable, LOG } from './schema.ts';
import { endOf, partitionOf, positionOf } from './spot.ts';

export async function inspect<T>(
  host: Host,
  path: string,
  look: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const database = host.disk.database(path, { readOnly: true });
  try {
    checkSchema(database, path, LOG);
    database.exec('BEGIN');
    const seen = await look(snapshotOf(host, path, database));
    database.exec('COMMIT');
    return seen;
  } finally {
    database.close();
  }
}

function snapshotOf(host: Host, path: string, database: Database): Snapshot {
  const reader = openReader(database);
  const archive = archiveOf(host, path, database);
  const heads = database.prepare('SELECT partition, epoch, position, checksum FROM heads ORDER BY partition');
  const next = database.prepare('SELECT spot FROM entries WHERE spot >= ? ORDER BY spot LIMIT 1');
  const versions = database.prepare(
    `SELECT stream, version, spot FROM entries WHERE version IS NOT NULL AND (stream, version) > (?, ?)
     ORDER BY stream, version LIMIT ? + 0`,
  );
  const stray = database.prepare(
    `SELECT a.partition, a.position FROM answers a
     LEFT JOIN entries e ON e.spot = (a.partition << 38) + a.position
     WHERE e.key IS NOT a.key LIMIT ? + 0`,
  );
  return {
    ...archivedSums(database),
    archive,
    ended: archive.ended,
    rows: async (...asked) => reader.rows(...asked),
    readPartition: readingPartitions(reader.readPartition, archivedIn(host.crypto, archive), 'passed over'),
    async heads() {
      return heads.all().map((row): Head => {
        const head = row as unknown as Omit<Head, 'lastEpoch'>;
        return { ...head, lastEpoch: reader.epochAt(head.partition, head.position) ?? 0 };
      });
    },
    /** Hops from one partition's first entry to the next one's. */
    async partitions() {
      const found: PartitionKey[] = [];
      for (let row = next.get(0); row !== undefined; row = next.get(endOf(found.at(-1) as number)))
        found.push(partitionOf(row['spot'] as number));
      return found;
    },
    async versions(after, max) {
      return versions.all(after?.stream ?? '', after?.version ?? 0, max).map((row): Version => {
        const spot = row['spot'] as number;
        const stream = row['stream'] as string;
        const version = row['version'] as number;
        return { stream, version, partition: partitionOf(spot), position: positionOf(spot) };
      });
    },
    async strayAnswers(max) {
      return stray.all(max) as unknown as { partition: number; position: number }[];
    },
  };
}

function archivedSums(database: Database): Pick<Snapshot, 'archivedUpTo' | 'endedVersions'> {
  if (!hasTable(database, 'segments')) return { archivedUpTo: async () => 0, endedVersions: async () => 0 };
  const last = database.prepare('SELECT coalesce(max(last), 0) AS last FROM segments WHERE partition = ?');
  const versions = database.prepare(
    'SELECT coalesce(sum(version), 0) AS versions FROM ended_streams WHERE partition = ?',
  );
  return {
    archivedUpTo: async (partition) => last.get(partition)?.['last'] as number,
    endedVersions: async (partition) => versions.get(partition)?.['versions'] as number,
  };
}
