import type { Database } from '../../host/disk.ts';

/** Runs the work in one transaction; after a throw nothing of it stands. */
export function transaction<T>(database: Database, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

/** SQLite has rolled back by itself after some errors (a full disk); then there is nothing left to do. */
export function rollBack(database: Database): void {
  try {
    database.exec('ROLLBACK');
  } catch (error) {
    if (!(error as Error).message.includes('no transaction is active')) throw error;
  }
}
