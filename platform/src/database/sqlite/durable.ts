/**
 * Makes a database one whose commits survive a loss of power: a write-ahead log with `synchronous = FULL` (with NORMAL a
 * power loss takes acknowledged commits: measured).
 *
 * After a sync that failed, the system may go on showing bytes that never reach the disk, and take them for written
 * (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). A program that starts again would
 * find them in the log and append behind them, and the next loss of power takes the log's beginning, and so all of it.
 * Hence an opening copies what the log shows into the database, which writes and syncs those pages anew, and begins an
 * empty log. While another process reads, that is left to the next opening.
 */
import type { Database } from '../../host/disk.ts';

export function makeDurable(database: Database): void {
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_checkpoint(TRUNCATE)');
}
