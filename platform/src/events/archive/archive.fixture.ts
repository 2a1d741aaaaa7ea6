/** A log in a folder of its own, a trade whose orders end, and a host that stands still where a test says. */
import { join } from 'node:path';
import { after } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import type { Host } from '../../host/host.ts';
import { realHost } from '../../host/real.ts';
import { answer, event, P, Q } from '../../testing/log-conformance-case.ts';
import { type LogOptions, openLog, openWriterPool } from '../events.ts';
import type { Log } from '../log.ts';

export const ASKED = { ending: [{ streams: 'ord', types: ['Ended'] }], segmentEntriesMax: 6 };
const BOUNDS = { batchEntriesMax: 128, queueEntriesMax: 1_000 };
const LATER_MS = 2_000_000_000_000;

export const host = realHost();

const folders: string[] = [];
after(async () => {
  for (const one of folders) await host.disk.remove(one);
});

export interface Ground {
  /** Of the log. */
  readonly path: string;
  /** The folder of its archive. */
  readonly archive: string;
}

export async function newGround(): Promise<Ground> {
  const own = Buffer.from(host.random.bytes(6)).toString('hex');
  const folder = join(host.env.get('TMPDIR') ?? '/tmp', `cardume-archive-${own}`);
  folders.push(folder);
  await host.disk.makeFolder(folder);
  return { path: join(folder, 'orders-0.log.db'), archive: join(folder, 'orders-0.archive') };
}

export async function withLog<T>(
  path: string,
  work: (log: Log) => Promise<T>,
  {
    on = host,
    ...more
  }: { readonly on?: Host } & Partial<Pick<LogOptions, 'report' | 'partitions' | 'isMapNew'>> = {},
): Promise<T> {
  const pool = openWriterPool(on, { threadsMax: 1 });
  try {
    const log = await openLog(on, { path, partitions: [P, Q], pool, bounds: BOUNDS, ...more });
    try {
      return await work(log);
    } finally {
      await log.close();
    }
  } finally {
    await pool.close();
  }
}

export async function archive(log: Pick<Log, 'archive'>, asked = ASKED): Promise<void> {
  while (await log.archive(asked));
}

export async function forget(log: Log): Promise<void> {
  while ((await log.forgetAnswers(LATER_MS, 1_000)) === 1_000);
}

/** Three orders that end and an answer, beside an account: 13 entries. */
export async function trade(log: Log): Promise<void> {
  for (const i of [1, 2, 3])
    await log.append(P, [event(`ord-${i}`, 1), event('acc', i), event(`ord-${i}`, 2, { type: 'Ended' })]);
  await log.append(P, [answer('acc', 'no'), event('acc', 4), event('acc', 5), event('acc', 6)]);
  await forget(log);
}

/** First column of the rows. */
export function rowsIn(path: string, sql: string): unknown[] {
  const database = host.disk.database(path, { readOnly: true });
  const rows = database
    .prepare(sql)
    .all()
    .map((row) => Object.values(row)[0]);
  database.close();
  return rows;
}

/** As the version before has left a log. */
export const UNARCHIVED =
  "DROP TABLE segments; DROP TABLE ended_streams; DELETE FROM meta WHERE name = 'schema_expanded'";

export function change(path: string, sql: string): void {
  const database = host.disk.database(path);
  database.exec(sql);
  database.close();
}

export const isStorageFailure =
  (...texts: readonly string[]) =>
  (error: unknown): boolean =>
    isCardumeError(error, 'storage-failed') && texts.every((text) => error.message.includes(text));

/** A disk that stands still, once, in an operation on a file of an archive. */
export function standingStill(operation: 'read' | 'remove'): {
  readonly on: Host;
  readonly reached: Promise<void>;
  goOn(): void;
} {
  const held = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  let isFirst = true;
  const still =
    <T>(work: (path: string) => Promise<T>) =>
    async (path: string): Promise<T> => {
      if (isFirst && path.includes('.archive')) {
        isFirst = false;
        reached.resolve();
        await held.promise;
      }
      return work(path);
    };
  const disk = { ...host.disk, [operation]: still(host.disk[operation] as (path: string) => Promise<never>) };
  return { on: { ...host, disk }, reached: reached.promise, goOn: held.resolve };
}
