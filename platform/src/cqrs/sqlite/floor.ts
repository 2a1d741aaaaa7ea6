/** Whether a database of read models has what a read of a replica must find; asked in the transaction that reads. */
import type { Database } from '../../host/disk.ts';
import { type Floor, reaches } from '../replica.ts';

export function hasReached(database: Database, floor: Floor): boolean {
  const builds = database.prepare('SELECT name FROM _builds WHERE apart = 0').all();
  const folded = database
    .prepare("SELECT partition, position FROM _folded WHERE build = '' AND epoch > 0")
    .all();
  const standing = {
    builds: new Set(builds.map((row) => row['name'] as string)),
    positions: new Map(folded.map((row) => [row['partition'] as number, row['position'] as number])),
  };
  return reaches(standing, floor);
}
