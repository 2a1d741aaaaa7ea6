/**
 * Logs that break one rule each, to prove that the conformance suite sees it. Used by tests only.
 *
 * Rules of the storage are broken in its SQL, between engine and disk: the writer runs on this thread over a disk
 * that changes statements on their way. Rules of the queue, of reads and of subscriptions are broken in a wrapper
 * around the log.
 */
import { isCardumeError } from '../base/errors.ts';
import { type LogOptions, openLog, openWriterPool, type WriterPool } from '../events/events.ts';
import type { LogBounds } from '../events/group-commit.ts';
import type { Appended, Copied, CopyPage, Entry, Log } from '../events/log.ts';
import { decodeToken } from '../events/token.ts';
import { verifyLog } from '../events/verify.ts';
import type { Clock, Host } from '../host/host.ts';
import type { Thread, ThreadMain, Threads } from '../host/threads.ts';
import { changedDisk, type StatementChange } from './changed-disk.ts';
import { damageArchive, loseSegment } from './damaged-archive.ts';
import type { LogHarness } from './log-conformance.ts';
import { P, Q } from './log-conformance-case.ts';
import {
  ARCHIVED_CUT,
  CUT,
  FLOOR,
  FORGOTTEN_ANSWERS,
  PAGES,
  REFUSALS,
  regionMutants,
  SERVED,
  UNSEATED,
  YIELDED,
} from './log-mutants-regions.ts';

export interface LogMutant {
  /** Cases of the suite that must fail: all of them, and no others. */
  readonly breaks: readonly string[];
  /** Statement → what the storage gets instead. */
  readonly sql?: readonly StatementChange[];
  readonly bounds?: LogBounds;
  host?(host: Host): Host;
  /** @param pool one that is not leased */
  options?(options: LogOptions, pool: WriterPool): LogOptions;
  log?(log: Log, clock: Clock): Log;
}

const ATOMIC = 'an append stands as a whole or not at all';
const FENCED = 'a writer whose partition was opened elsewhere is fenced';
const FENCED_EARLY = 'a writer is fenced also when the new one has not appended';
const FENCED_READS = 'a host that was paused learns that it is fenced without writing';
const LOST = 'a subscription to a lost partition says so';
const ARRIVAL = 'positions are gapless and in order of arrival, in each partition';
const QUEUE = 'the queue is bounded; what is refused at the door takes the later ones with it';
const EPOCH = 'each opening raises the epoch, and entries carry it';
const SUBSCRIBE = 'subscriptions have no gap and no repeat while others append';
const BEHIND = 'a reader that falls far behind loses nothing';
const DISCARD = 'a refused append takes the later ones of its partition with it, and no others';
const HEARS = 'who hears of a failure finds nothing of the partition under way';
const SETTLED = 'settled waits for what was appended, and fails with it';
const SETTLED_LATE =
  'settled fails with what was appended before it, however long it looks up who has the partition';
const LIVE = 'live entries are told once, in order, before their append resolves';
const KEY = 'a key has one answer in its partition';
const CHAIN = 'checksums chain the entries of a partition';
const WHOLE = 'a reader sees an append as a whole, and never one that failed';
const TOKEN = 'a token names its entry, and no other history';

const RELEASED =
  'a partition that is released becomes a copy: appends to it are refused, before and after, and others go on';
const FENCED_AWAY = 'whoever had a partition open that is released elsewhere is fenced';
const COPIED =
  'a copy takes the entries of its home as they are, behind each other, and goes on as a home in an epoch above all';
const COPY_REFUSES = 'a copy refuses what does not follow, whole, and stands where it stood';
const HOME = 'a home is no copy: it is neither followed, nor written behind its back, nor dropped';
const GONE = 'a copy that was dropped is not taken up again, by nobody who knew it';
const ADOPTED_AGAIN =
  'what was released is adopted again where it is: nothing is lost, and what was decided before is dropped';
const REMEMBERS = 'a copy remembers the epoch that was released, and an adoption may be asked for again';
const MOVED_AWAY = 'a host whose partition was moved away behind its back learns it without writing';
const LOST_MAP = 'what has given partitions away is opened by those who know where they are';
const FOLLOWED_ON = 'a subscription ends with its home, and goes on from its token in the next one';

const ARCHIVED = 'what is archived is read as it stood, after each step, by position and by stream';
const ARCHIVED_TOKEN = 'a token names an entry in a segment, and who follows goes on from there';
const ANSWERED = 'a segment ends before remembered answers, and before the last entry';
const ENDED = 'an append to a stream that has ended follows its last version, or is refused';
const WENT_ON = 'a stream that went on behind its end is not archived until it ends again';
const DAMAGED = 'what a damaged segment holds is told as lost, and never passed over';
const FORGOTTEN = 'what stands in no segment and in no row is told as lost, by position and by stream';
const OLDER_DAMAGED =
  'rows are deleted when what they say was read back from every segment that holds it; other partitions do not wait';
const CLOSING = 'who reads while the log closes reads, or is told so';
const ARCHIVER_FENCED = 'a host that has lost its partition archives nothing of it';
const ARCHIVE_MOVES =
  'a partition with segments moves by its entries: what was dropped leaves none, and the next home makes its own';

export const logMutants: Readonly<Record<string, LogMutant>> = {
  'a version may exist twice': {
    breaks: [
      'a version exists once',
      'what was appended is there when the log is opened again',
      COPIED,
      ENDED,
      WENT_ON,
      PAGES,
    ],
    sql: [['CREATE UNIQUE INDEX IF NOT EXISTS entries_by_stream', 'CREATE INDEX entries_by_stream']],
  },
  'a version may leave a gap': {
    breaks: ['versions leave no gap', 'what was appended is there when the log is opened again', ENDED],
    sql: [[/^SELECT 1 FROM entries WHERE stream = .*/, 'SELECT ? AND ? AND ? AND ?']],
  },
  'a second answer replaces the first': {
    breaks: [
      KEY,
      'answers outlive the process',
      'old answers are forgotten, their entries are not',
      COPIED,
      ANSWERED,
      FORGOTTEN_ANSWERS,
    ],
    sql: [['INSERT INTO answers', 'INSERT OR REPLACE INTO answers']],
  },
  'answers are forgotten at opening': {
    breaks: ['answers outlive the process', ADOPTED_AGAIN, CUT, FORGOTTEN_ANSWERS],
    log: (log) => ({
      ...log,
      async findAnswer(partition, key) {
        const entry = await log.findAnswer(partition, key);
        return log.heads().some((head) => head.epoch === entry?.epoch) ? entry : null;
      },
    }),
  },
  'an opening keeps the epoch': {
    breaks: [
      EPOCH,
      FENCED_EARLY,
      FENCED_READS,
      LOST,
      TOKEN,
      RELEASED,
      FENCED_AWAY,
      COPIED,
      ADOPTED_AGAIN,
      REMEMBERS,
      FOLLOWED_ON,
      FLOOR,
      YIELDED,
      CUT,
    ],
    sql: [
      ['max(epoch + 1, ', 'max(epoch, '],
      ['SET epoch = epoch + 1', 'SET epoch = epoch'],
    ],
  },
  'an old epoch may append': {
    breaks: [FENCED, FENCED_EARLY, LOST, FENCED_AWAY, YIELDED, CUT],
    sql: [['AND epoch = ? AND position = ?', 'AND epoch >= ? AND position >= ?']],
  },
  'keys and streams ignore case': {
    breaks: ['streams and keys compare by bytes'],
    sql: [[/(stream|key) +TEXT( +NOT NULL)?/g, '$1 TEXT$2 COLLATE NOCASE']],
  },
  'a checksum leaves out the one before': {
    breaks: [
      CHAIN,
      ARCHIVED,
      ANSWERED,
      ENDED,
      WENT_ON,
      DAMAGED,
      OLDER_DAMAGED,
      ARCHIVER_FENCED,
      ARCHIVE_MOVES,
      PAGES,
      YIELDED,
      UNSEATED,
      CUT,
      FORGOTTEN_ANSWERS,
      ARCHIVED_CUT,
    ],
    host: (host) => ({
      ...host,
      crypto: {
        ...host.crypto,
        sha256: (data) => host.crypto.sha256(typeof data === 'string' ? data.slice(32) : data),
      },
    }),
  },
  'entries of one append stand alone': {
    breaks: [ATOMIC, WHOLE, KEY, DISCARD, LIVE],
    log: (log) => ({
      ...log,
      async append(partition, entries) {
        const given = await Promise.all(entries.map((entry) => log.append(partition, [entry])));
        return given[0] as Appended;
      },
    }),
  },
  'appends overtake one another': {
    breaks: [ARRIVAL],
    log: (log) => ({
      ...log,
      async append(partition, entries) {
        if (entries.length === 4) await Promise.resolve();
        return log.append(partition, entries);
      },
    }),
  },
  'the queue has no bound': {
    breaks: [QUEUE],
    bounds: { batchEntriesMax: 128, queueEntriesMax: Number.POSITIVE_INFINITY },
  },
  'what a failure discarded is appended again': {
    breaks: [DISCARD, HEARS, SETTLED],
    log: (log) => ({
      ...log,
      append: (partition, entries) =>
        log.append(partition, entries).catch((error) => {
          const discarded = isCardumeError(error, 'conflict') && error.message.includes('earlier');
          if (!discarded) throw error;
          return log.append(partition, entries);
        }),
    }),
  },
  'a failure is told too late to drop state': {
    breaks: [HEARS, QUEUE, ADOPTED_AGAIN, SERVED],
    log: (log, clock) => ({
      ...log,
      onFailed: (listener) => log.onFailed((partition) => clock.soon(() => listener(partition))),
    }),
  },
  'settled does not wait': {
    breaks: [SETTLED, SETTLED_LATE, FENCED_READS, SERVED],
    log: (log) => ({ ...log, settled: async () => undefined }),
  },
  'memory is trusted for ever': {
    breaks: [FENCED_READS],
    sql: [['SELECT partition, epoch FROM heads', 'SELECT partition, 0 AS epoch FROM heads']],
  },
  'a subscription skips an entry': {
    breaks: [SUBSCRIBE, BEHIND],
    log: (log) => subscribing(log, (entry) => (entry.position === 700 ? [] : [entry])),
  },
  'a subscription repeats an entry': {
    breaks: [SUBSCRIBE, BEHIND],
    log: (log) => subscribing(log, (entry) => (entry.position === 700 ? [entry, entry] : [entry])),
  },
  'a token of another history is accepted': {
    breaks: [TOKEN, ARCHIVED_TOKEN],
    log: (log) => ({
      ...log,
      subscribe(partition, after) {
        const from = after === null ? 0 : decodeToken(after).position;
        return changing(log.subscribe(partition, null), (entry) => (entry.position > from ? [entry] : []));
      },
    }),
  },
  'live entries are told after their appends': {
    breaks: [LIVE],
    log: (log, clock) => ({
      ...log,
      onCommit: (listener) => log.onCommit((entries) => clock.soon(() => listener(entries))),
    }),
  },
  'a release keeps the epoch': {
    breaks: [RELEASED, ADOPTED_AGAIN, REMEMBERS, FOLLOWED_ON, FLOOR, YIELDED, UNSEATED, CUT],
    sql: [['SET epoch = epoch + 1, batch = 0', 'SET epoch = epoch, batch = 0']],
  },
  'a copy has no answers': {
    breaks: [COPIED, ADOPTED_AGAIN, ARCHIVE_MOVES, CUT, FORGOTTEN_ANSWERS],
    sql: [[/^INSERT INTO answers [^$]*DO NOTHING.*/, 'SELECT ?, ?, ?']],
  },
  'a copy is silent about what it cannot take': {
    breaks: [COPY_REFUSES, HOME, GONE, ...REFUSALS],
    log: (log) => ({
      ...log,
      moving: {
        ...log.moving,
        async copy(pages) {
          const copied = await log.moving.copy(pages);
          return copied.map((one, i): Copied => {
            const { partition, entries } = pages[i] as CopyPage;
            const position = entries.at(-1)?.position ?? 0;
            const head = { partition, epoch: 1, lastEpoch: 1, position, checksum: new Uint8Array(16) };
            return 'refused' in one ? { partition, head, added: entries.length } : one;
          });
        },
      },
    }),
  },
  'an adoption takes what others have opened since': {
    breaks: [COPIED, LOST_MAP],
    sql: [['batch = 0 AND epoch = ?) OR', 'batch = 0 AND ? >= 0) OR']],
  },
  'a home is taken for a copy': {
    breaks: [HOME, CUT],
    sql: [
      ['SELECT 1 FROM heads WHERE partition = ? AND batch = 0', 'SELECT 1 FROM heads WHERE partition = ?'],
    ],
  },
  'what was dropped leaves its head': {
    breaks: [
      COPIED,
      COPY_REFUSES,
      ADOPTED_AGAIN,
      LOST_MAP,
      REMEMBERS,
      GONE,
      ARCHIVE_MOVES,
      ...REFUSALS,
      CUT,
      FORGOTTEN_ANSWERS,
    ],
    sql: [['DELETE FROM heads WHERE', 'SELECT 1 FROM heads WHERE']],
  },
  'a release is silent to those who follow': {
    breaks: [FOLLOWED_ON],
    log: (log) => ({
      ...log,
      subscribe(partition, after) {
        const from = log.subscribe(partition, after);
        return {
          [Symbol.asyncIterator]() {
            const iterator = from[Symbol.asyncIterator]();
            return {
              ...iterator,
              next: () =>
                iterator.next().catch((error) => {
                  if (!isCardumeError(error, 'partition-unavailable')) throw error;
                  return { done: true, value: undefined };
                }),
            };
          },
        };
      },
    }),
  },
  'a copy forgets the epoch that was released': {
    breaks: [REMEMBERS, COPIED],
    sql: [[/^UPDATE heads SET epoch = max\(epoch, \?\) WHERE.*/, 'SELECT ?, ?']],
  },
  'what stands no more is not missed': {
    breaks: [MOVED_AWAY],
    sql: [['SELECT partition, epoch FROM heads', 'SELECT partition, epoch FROM heads UNION SELECT 33, 0']],
  },
  'a lost map is not missed': {
    breaks: [LOST_MAP, ARCHIVE_MOVES],
    sql: [[/^SELECT 1 FROM meta WHERE.*/, 'SELECT 1 WHERE FALSE']],
  },
  'an append to a stream that has ended is not refused': {
    breaks: [ENDED, WENT_ON, ARCHIVE_MOVES],
    sql: [[/^SELECT version FROM ended_streams .*/, 'SELECT 0 AS version WHERE ? AND ? IS NOT NULL']],
  },
  'a page ends at the border between segments and rows': {
    breaks: [
      ARCHIVED,
      ARCHIVED_TOKEN,
      ANSWERED,
      ENDED,
      WENT_ON,
      DAMAGED,
      FORGOTTEN,
      OLDER_DAMAGED,
      ARCHIVER_FENCED,
      ARCHIVE_MOVES,
      ARCHIVED_CUT,
    ],
    sql: [
      [
        'entries WHERE spot > ? AND spot < ? ORDER BY spot LIMIT',
        `entries WHERE spot > ?1 AND spot < ?2
           AND NOT EXISTS (SELECT 1 FROM segments WHERE (partition << 38) + last = ?1) ORDER BY spot LIMIT`,
      ],
    ],
  },
  'what is damaged is passed over': {
    breaks: [DAMAGED, FORGOTTEN],
    log: (log) => ({
      ...log,
      readPartition: (...asked) =>
        log.readPartition(...asked).catch((error) => {
          if (!isCardumeError(error, 'storage-failed')) throw error;
          return [];
        }),
    }),
  },
  'what was read of an archive once is trusted for ever': {
    breaks: [DAMAGED, OLDER_DAMAGED],
    host(host) {
      const known = new Map<string, Promise<Uint8Array | null>>();
      const read = (path: string): Promise<Uint8Array | null> => {
        if (!path.endsWith('.segment')) return host.disk.read(path);
        const bytes = known.get(path) ?? host.disk.read(path);
        known.set(path, bytes);
        return bytes;
      };
      return { ...host, disk: { ...host.disk, read } };
    },
  },
  'a read that closing cuts off fails as it happens to': {
    breaks: [CLOSING],
    log: (log) => ({
      ...log,
      readPartition: (...asked) =>
        log.readPartition(...asked).catch((error) => {
          throw isCardumeError(error, 'draining') ? new Error('the statement is finalized') : error;
        }),
    }),
  },
  'rows are deleted before a segment stands that holds them': {
    breaks: [
      ARCHIVED,
      ARCHIVED_TOKEN,
      ENDED,
      DAMAGED,
      FORGOTTEN,
      CLOSING,
      ARCHIVER_FENCED,
      ARCHIVE_MOVES,
      ARCHIVED_CUT,
    ],
    sql: [['e.spot > ? AND e.spot <= ?', 'e.spot > ? AND ? > 0']],
  },
  'rows of streams that have not ended are deleted': {
    breaks: [
      ARCHIVED,
      ENDED,
      WENT_ON,
      DAMAGED,
      FORGOTTEN,
      OLDER_DAMAGED,
      CLOSING,
      ARCHIVER_FENCED,
      ARCHIVE_MOVES,
      ARCHIVED_CUT,
    ],
    sql: [['coalesce(z.version, 0) AS ended', 'coalesce(z.version, 1) AS ended']],
  },
  'a segment ends above what is forgotten': {
    breaks: [ANSWERED],
    sql: [['min(forgotten, position - 1)', 'position - 1']],
  },
  'a segment takes the last entry': {
    breaks: [ANSWERED],
    sql: [['min(forgotten, position - 1)', 'forgotten']],
  },
  'whoever lost a partition goes on archiving it': {
    breaks: [ARCHIVER_FENCED],
    sql: [['epoch = ? AND batch <> 0', '? > 0 AND batch <> 0']],
  },
  'segments stay behind what was dropped': {
    breaks: [ARCHIVE_MOVES],
    sql: [
      ['SELECT * FROM segments WHERE partition = ? ORDER BY', 'SELECT * FROM segments WHERE -1 = ? ORDER BY'],
    ],
  },
  'streams that have ended are remembered behind what was dropped': {
    breaks: [ARCHIVE_MOVES],
    sql: [
      [
        'DELETE FROM ended_streams WHERE partition = ? AND stream IN',
        'DELETE FROM ended_streams WHERE partition = ? AND 0 IN',
      ],
    ],
  },
  'closing forgets what waits': {
    breaks: [
      'closing waits for what was appended, and refuses what comes after',
      SETTLED,
      SETTLED_LATE,
      RELEASED,
    ],
    log: (log, clock) => ({
      ...log,
      append: (partition, entries) =>
        new Promise((resolve) => clock.soon(() => resolve(log.append(partition, entries)))),
    }),
  },
  ...regionMutants,
};

/** @param change what each entry of a subscription becomes */
function subscribing(log: Log, change: (entry: Entry) => Entry[]): Log {
  return {
    ...log,
    subscribe: (partition, after) => changing(log.subscribe(partition, after), change),
  };
}

/** By hand: a generator could not be ended while it waits. */
function changing(from: AsyncIterable<Entry>, change: (entry: Entry) => Entry[]): AsyncIterable<Entry> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = from[Symbol.asyncIterator]();
      const ready: Entry[] = [];
      return {
        async next() {
          while (ready.length === 0) {
            const next = await iterator.next();
            if (next.done === true) return next;
            ready.push(...change(next.value));
          }
          return { done: false, value: ready.shift() as Entry };
        },
        return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
      };
    },
  };
}

/** A harness over a mutant's log; it runs all threads on this one. */
export function mutantHarness(host: Host, path: string, mutant: LogMutant): LogHarness {
  const disk = changedDisk(host.disk, [UNSYNCED, ...(mutant.sql ?? [])]);
  const changed: Host = { ...host, disk };
  const broken = mutant.host?.(changed) ?? changed;
  const mutated: Host = { ...broken, threads: threadsHere(host.clock, () => mutated) };
  const pool = openWriterPool(mutated, { threadsMax: 2 });
  const opened: Log[] = [];
  return {
    host,
    async open(partitions = [P, Q], bounds = {}, more = {}) {
      const own = { batchEntriesMax: 128, queueEntriesMax: 10_000, ...bounds, ...mutant.bounds };
      const options = { path, partitions, pool, bounds: own, ...more };
      const log = await openLog(mutated, mutant.options?.(options, pool) ?? options);
      opened.push(log);
      return mutant.log?.(log, host.clock) ?? log;
    },
    faults: async () => (await verifyLog(host, { path })).faults,
    damageArchive: (max) => damageArchive(host.disk, path.replace(/\.db$/, '.archive'), max),
    loseSegment: async () => loseSegment(host.disk, path),
    done: (work) => work,
    async close() {
      // A case that failed has left logs open.
      for (const log of opened) await log.close();
      await pool.close();
    },
  };
}

/** No power is cut here: without syncing, a mutant's run of the suite takes a third of a second. */
const UNSYNCED = ['synchronous=FULL', 'synchronous=OFF'] as const;

/** Runs the module on this thread: messages are cloned and arrive in later turns, in order. */
function threadsHere(clock: Clock, hostOf: () => Host): Threads {
  return {
    spawn(module, _name, init): Thread {
      const toThread: ((message: never) => void)[] = [];
      const fromThread: ((message: never) => void)[] = [];
      const started = import(module.href).then(({ serve }: { serve: ThreadMain }) =>
        serve(
          hostOf(),
          { post: pipe(clock, fromThread), onMessage: (listener) => void toThread.push(listener) },
          structuredClone(init) as never,
        ),
      );
      const post = pipe(clock, toThread);
      return {
        post: (message) => void started.then(() => post(message)),
        onMessage: (listener) => void fromThread.push(listener),
        onExit: () => undefined,
        stop: async () => undefined,
      };
    },
    load: (module) => import(module) as Promise<Record<string, unknown>>,
  };
}

function pipe(clock: Clock, listeners: readonly ((message: never) => void)[]): (message: unknown) => void {
  return (message) => {
    const copy = structuredClone(message) as never;
    clock.soon(() => {
      for (const listener of listeners) listener(copy);
    });
  };
}
