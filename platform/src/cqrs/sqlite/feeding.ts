/**
 * Who may feed a replica's file: whoever has opened it last, and is the log's host. Two that fed it at once would each move
 * the checkpoint past what the other's builds have not folded.
 */
import { CardumeError } from '../../base/errors.ts';
import { SCHEMA_TABLE, type Schema } from '../../database/schema.ts';
import { migrate } from '../../database/sqlite/migrate.ts';
import type { Head } from '../../events/log.ts';
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';

const FEEDING: Schema = {
  of: 'replica',
  table: SCHEMA_TABLE,
  row: 'replica',
  sign: '_feeder',
  released: 1,
  steps: [
    {
      what: 'who feeds it',
      statements: [
        'CREATE TABLE IF NOT EXISTS _feeder (one INTEGER PRIMARY KEY CHECK (one = 1), opener INTEGER NOT NULL)',
      ],
    },
  ],
};
const CLAIM = `INSERT INTO _feeder (one, opener) VALUES (1, 1) ON CONFLICT DO UPDATE SET opener = opener + 1 RETURNING opener`;

/** @throws CardumeError `fenced` when the log has been opened by another host since */
export function checkHost(ours: readonly Head[], stored: readonly Head[]): void {
  const epochs = new Map(stored.map(({ partition, epoch }) => [partition, epoch]));
  if (!ours.every(({ partition, epoch }) => epochs.get(partition) === epoch))
    throw new CardumeError('fenced', 'another host has opened the log, and feeds its replicas');
}

/** @returns throws `fenced`, in a transaction that writes, when somebody has opened the file since */
export function claimFeeding({ disk }: Pick<Host, 'disk'>, path: string): (database: Database) => void {
  const database = disk.database(path);
  try {
    migrate(database, path, FEEDING);
    const opener = database.prepare(CLAIM).get()?.['opener'] as number;
    return (writing) => {
      if (writing.prepare('SELECT opener FROM _feeder').get()?.['opener'] !== opener)
        throw new CardumeError('fenced', 'another one feeds this replica');
    };
  } finally {
    database.close();
  }
}
