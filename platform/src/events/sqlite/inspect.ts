/** A log's file as it stands, in one snapshot: what `verifyLog` looks at. */
import { checkSchema } from '../../database/sqlite/migrate.ts';
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import type { Snapshot, Version } from '../engine.ts';
import type { Head, PartitionKey } from '../log.ts';
import { openReader, patiently } from './reader.ts';
import { LOG } from './schema.ts';
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
    const seen = await look(snapshotOf(database));
    database.exec('COMMIT');
    return seen;
  } finally {
    database.close();
  }
}

function snapshotOf(database: Database): Snapshot {
  const reader = openReader(database);
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
    readPartition: patiently(reader).readPartition,
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
