/** What the disk of this run can do, told above the table: every durable figure rests on it. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { median } from './figure.ts';

export interface Disk {
  /** Durable transactions of one small row, one after another (WAL, `synchronous=FULL`). */
  readonly commitsPerS: number;
  /** Median `fdatasync` of one page that is written over another, as in a WAL that has been round once. */
  readonly fsyncUs: number;
}

const PROBE_MS = 1_000;
const PAGE = new Uint8Array(4_096);
const FILE_PAGES = 1_000;
/** A file that grows syncs slower (its length is written too): so the WAL goes round before it is measured. */
const COMMITS_TO_WARM_UP = 1_500;

export function probeDisk(): Disk {
  const folder = mkdtempSync(join(tmpdir(), 'cardume-probe-'));
  try {
    return { commitsPerS: commits(join(folder, 'probe.db')), fsyncUs: fsync(join(folder, 'probe')) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function commits(path: string): number {
  const database = new DatabaseSync(path);
  database.exec(
    'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)',
  );
  const insert = database.prepare("INSERT INTO t (b) VALUES ('a small row')");
  for (let i = 0; i < COMMITS_TO_WARM_UP; i += 1) insert.run();
  const begun = performance.now();
  let count = 0;
  while (performance.now() - begun < PROBE_MS) {
    insert.run();
    count += 1;
  }
  const perS = (count / (performance.now() - begun)) * 1_000;
  database.close();
  return perS;
}

function fsync(path: string): number {
  const file = openSync(path, 'w+');
  for (let page = 0; page < FILE_PAGES; page += 1) writeSync(file, PAGE);
  fdatasyncSync(file);
  const times: number[] = [];
  const begun = performance.now();
  while (performance.now() - begun < PROBE_MS) {
    writeSync(file, PAGE, 0, PAGE.length, (times.length % FILE_PAGES) * PAGE.length);
    const synced = performance.now();
    fdatasyncSync(file);
    times.push((performance.now() - synced) * 1_000);
  }
  closeSync(file);
  return median(times);
}
