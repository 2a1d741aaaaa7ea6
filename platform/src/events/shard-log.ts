/**
 * The log of one shard. Appends are batched (group-commit.ts) and go to an engine on a writer thread (writer-pool.ts,
 * writer-thread.ts, engine.ts); bounded reads have a connection of their own, which sees committed entries only.
 *
 * Order of events when a batch ends: its failures (`onFailed`), the next batch departs, the tail's report, live
 * entries, and then the appends are told.
 */
import { assert } from '../base/assert.ts';
import { CardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import type { Outcome } from './batch.ts';
import { closedError, closingReader } from './closing-reader.ts';
import {
  type Epochs,
  type Floors,
  type LogPlace,
  type OwnReader,
  READ_ENTRIES_MAX,
  type Reader,
  type Recovery,
  type Start,
} from './engine.ts';
import { driverOf } from './engines.ts';
import {
  type Finished,
  fencedError,
  groupCommit,
  type LogBounds,
  notOpenError,
  type Told,
} from './group-commit.ts';
import type { Entry, Log, NewEntry, PartitionKey } from './log.ts';
import { openMoving } from './moving.ts';
import type { Quarantined } from './quarantine.ts';
import { outcomeOfLost, unknownOutcome } from './recovery.ts';
import { openSubscriptions } from './subscriptions.ts';
import type { TailModule } from './tail.ts';
import type { Opened, Request } from './wire.ts';
import type { Seat, WriterPool } from './writer-pool.ts';

export interface ShardLogOptions {
  readonly place: LogPlace;
  readonly partitions: readonly PartitionKey[];
  /** Partitions of which a copy is followed here. */
  readonly copies?: readonly PartitionKey[];
  /** See `First`. */
  readonly isMapNew?: boolean;
  readonly floors?: Floors;
  readonly yielded?: readonly PartitionKey[];
  readonly pool: WriterPool;
  /** See `LogOptions`. */
  readonly mayServe?: () => void;
  readonly bounds: LogBounds;
  readonly tail?: TailModule;
  /** What the operator should know. */
  readonly report?: Report;
}

export type Report = (message: string, fields: Readonly<Record<string, unknown>>) => void;

/** How old may be what `checkOpen` knows: a look costs microseconds, and reads from memory hardly more than one. */
const EPOCHS_LOOKED_UP_MS = 100;

export async function openShardLog(host: Host, options: ShardLogOptions): Promise<Log> {
  let listener: { onAppended(outcome: Outcome, report: unknown): void; onLost(): void } | null = null;
  const seat = options.pool.takeSeat({
    onAppended: (outcome, report) => listener?.onAppended(outcome, report),
    onLost: () => listener?.onLost(),
  });
  const { place } = options;
  const tail =
    options.tail === undefined ? null : { module: options.tail.module.href, init: options.tail.init };
  const open = (start: Start): Promise<Opened> =>
    seat.request({ kind: 'open', place, start, tail }) as Promise<Opened>;
  try {
    const opener = 1 + Math.floor(host.random.fraction() * Number.MAX_SAFE_INTEGER);
    const { copies = [], isMapNew = false, floors = new Map(), yielded = [] } = options;
    const partitions = [...new Set(options.partitions)];
    assert(!yielded.some((one) => partitions.includes(one)), 'a partition is opened or yielded');
    const opened = await open({ partitions, opener, copies, isMapNew, floors, yielded });
    if (opened.strays.length > 0)
      options.report?.('files of an archive that the log does not know stand aside', {
        files: opened.strays,
      });
    const driver = await driverOf(host, place);
    const reader = closingReader(await driver.openReader(host, place));
    const reopen = (recovery: Omit<Recovery, 'opener'>): Promise<Opened> =>
      open({ recovery: { ...recovery, opener } });
    const running = run(host, options, seat, reopen, opened, reader);
    listener = running.listener;
    return running.log;
  } catch (error) {
    seat.leave();
    throw error;
  }
}

function run(
  host: Host,
  options: ShardLogOptions,
  seat: Seat,
  reopenWith: (recovery: Omit<Recovery, 'opener'>) => Promise<Opened>,
  opened: Opened,
  reader: OwnReader,
) {
  const { mayServe = () => undefined } = options;
  const commits = groupCommit(options.bounds, opened.heads, mayServe);
  const subscriptions = openSubscriptions(reader, commits.head);
  const onCommit = new Set<(entries: readonly Entry[]) => void>();
  const onFailed = new Set<(partition: PartitionKey) => void>();
  const onTail = new Set<(report: unknown) => void>();
  /** The writer thread has the engine open. */
  let connected = true;
  /** Writer threads that have ended under this log. */
  let losses = 0;
  let lookedUpMs = host.clock.monotonicMs();
  let lookingUp: { readonly askedMs: number; readonly told: Promise<void> } | null = null;
  let recovering: Promise<void> | null = null;
  let scheduled = false;
  let closing: Promise<void> | null = null;
  let isClosed = false;
  let onIdle: (() => void) | null = null;

  /** The end of the turn gathers the appends of all requests that were read in it. */
  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    host.clock.soon(() => {
      scheduled = false;
      if (!connected && closing === null) recover();
      else if (!connected && recovering === null) {
        tell(
          commits.discardWaiting(
            new CardumeError('storage-failed', 'the writer ended, and the log is closing'),
          ),
        );
      }
      sendNext();
      tellRefusals();
    });
  }

  function sendNext(): void {
    if (!connected) return;
    const batch = commits.take();
    if (batch !== null) seat.append(batch);
  }

  function tellRefusals(): void {
    const told = commits.refusals();
    if (told !== null) tell(told);
    if (commits.idle()) onIdle?.();
  }

  function dropWhatRestsOn(partition: PartitionKey): void {
    for (const listener of onFailed) listener(partition);
  }

  function tell(told: Told): void {
    for (const partition of told.failed) dropWhatRestsOn(partition);
    told.tell();
  }

  function ended(finished: Finished, report?: unknown): void {
    for (const partition of finished.failed) dropWhatRestsOn(partition);
    sendNext(); // the writer has work before the callers are told
    if (report !== undefined) for (const listener of onTail) listener(report);
    if (onCommit.size > 0 || subscriptions.any()) {
      const entries = finished.entries();
      if (entries.length > 0) {
        for (const listener of onCommit) listener(entries);
        subscriptions.announce(entries);
      }
      for (const partition of finished.fenced) subscriptions.end(partition, fencedError(partition));
    }
    finished.tell();
    tellRefusals();
  }

  function recover(): void {
    recovering ??= reopen().finally(() => {
      recovering = null;
      sendNext();
      tellRefusals();
    });
  }

  function checkOpen(partition: PartitionKey): void | Promise<void> {
    if (isClosed) throw closedError();
    // While the writer is opened again, the epoch in the log grows without us knowing it yet.
    if (!connected) return connect().then(() => refuseFenced(partition));
    const nowMs = host.clock.monotonicMs();
    if (nowMs - lookedUpMs >= EPOCHS_LOOKED_UP_MS) {
      // What was asked long ago may be told late: to a host that stood still, or over a slow line.
      if (lookingUp !== null && nowMs - lookingUp.askedMs < EPOCHS_LOOKED_UP_MS)
        return lookingUp.told.then(() => refuseFenced(partition));
      const epochs = reader.epochs();
      if (epochs instanceof Promise) {
        lookingUp = { askedMs: nowMs, told: lookUp(epochs, nowMs) };
        return lookingUp.told.then(() => refuseFenced(partition));
      }
      lookedUpMs = nowMs;
      learn(epochs);
    }
    refuseFenced(partition);
  }

  async function lookUp(epochs: Promise<Epochs>, askedMs: number): Promise<void> {
    const openings = commits.openings();
    const found = await epochs;
    // An opening of our own may have raised the epochs in between: then the next to ask looks again.
    if (!connected || openings !== commits.openings()) return;
    learn(found);
    lookedUpMs = Math.max(lookedUpMs, askedMs);
  }

  function learn(epochs: Epochs): void {
    const found = new Map(epochs);
    for (const { partition } of commits.heads()) {
      // One that stands no more was moved away by somebody else.
      if (!commits.fenceAfter(partition, found.get(partition) ?? Number.POSITIVE_INFINITY)) continue;
      dropWhatRestsOn(partition);
      subscriptions.end(partition, fencedError(partition));
    }
  }

  function refuseFenced(partition: PartitionKey): void {
    if (commits.isFenced(partition)) throw fencedError(partition);
    if (!commits.isHere(partition)) throw notOpenError(partition);
    mayServe();
  }

  /** The writer thread ended: finds out, on a new one, what of the batch under way stands. */
  async function reopen(): Promise<void> {
    const underWay = commits.underWay();
    const lost = commits.heads().map(({ partition, epoch, position }) => ({ partition, epoch, position }));
    const lossesBefore = losses;
    let result: Opened;
    const stand: Entry[] = [];
    try {
      result = await reopenWith({ batch: commits.lastBatch(), lost, copies: [...moving.copies] });
      for (const { partition, epoch, position } of lost) {
        const count = result.recovered.find((one) => one.partition === partition)?.entries ?? 0;
        const read = await readAll(reader, partition, position, count);
        stand.push(...read.filter((entry) => entry.epoch === epoch));
      }
    } catch (error) {
      const { message } = error as Error;
      if (underWay !== null) ended(commits.finish(unknownOutcome(underWay, message)));
      tell(commits.discardWaiting(new CardumeError('storage-failed', message, { cause: error })));
      return; // the next append tries again
    }
    if (result.report !== undefined) for (const listener of onTail) listener(result.report);
    if (underWay !== null) {
      ended(commits.finish(outcomeOfLost(underWay, result.recovered, stand)));
    } else if (stand.length > 0) {
      for (const listener of onCommit) listener(stand); // of a batch whose outcome was not known until now
    }
    commits.reopened(result.heads);
    connected = losses === lossesBefore; // the thread may have ended again, right behind its answer
    for (const { partition, fenced } of result.recovered) {
      if (fenced) subscriptions.end(partition, fencedError(partition));
    }
  }

  /** A thread that was started anew knows nothing of this log until it is opened there. */
  async function connect(): Promise<void> {
    if (closing === null) recover();
    await recovering;
    if (!connected)
      throw new CardumeError('storage-failed', 'the writer ended, and could not be opened again');
  }

  async function close(): Promise<void> {
    commits.refuse(closedError());
    if (!commits.idle()) {
      await new Promise<void>((resolve) => {
        onIdle = resolve;
      });
    }
    await recovering;
    subscriptions.endAll();
    isClosed = true;
    try {
      // Before SQLite's writer, which then leaves one file: a read-only connection cannot fold the WAL into it.
      await reader.close();
      if (connected) await seat.request({ kind: 'close' });
    } finally {
      connected = false;
      seat.leave();
    }
  }

  async function request(body: Request): Promise<unknown> {
    if (isClosed) throw closedError();
    if (!connected) await connect();
    return seat.request(body);
  }

  const moving = openMoving(new Set([...(options.copies ?? []), ...(options.yielded ?? [])]), {
    commits,
    request,
    tellRefusals,
    onReport(report) {
      for (const listener of onTail) listener(report);
    },
    left(partition) {
      dropWhatRestsOn(partition);
      subscriptions.end(partition, notOpenError(partition));
    },
  });

  const log: Log = {
    moving: moving.moving,
    quarantine: {
      list: (after, entriesMax) =>
        request({ kind: 'quarantined', after, entriesMax }) as Promise<Quarantined[]>,
      settle: (ids, decision) => request({ kind: 'settle', ids, decision }) as Promise<number>,
    },
    heads: commits.heads,
    head: (partition) => (commits.isFenced(partition) ? undefined : commits.head(partition)),
    append(partition, entries) {
      checkEntries(entries);
      const appended = commits.append(partition, entries);
      schedule();
      return appended;
    },
    async settled(partition) {
      // Both begin in this turn: what comes to the partition while the epoch is looked up is not waited for.
      const settled = commits.settled(partition);
      settled.catch(() => undefined);
      await checkOpen(partition);
      await settled;
      mayServe();
    },
    checkOpen,
    readStream: reader.readStream,
    readPartition: reader.readPartition,
    findAnswer: reader.findAnswer,
    subscribe: subscriptions.subscribe,
    onCommit: (listener) => listen(onCommit, listener),
    onFailed: (listener) => listen(onFailed, listener),
    onTail: (listener) => listen(onTail, listener),
    askTail: (message) => request({ kind: 'ask', message }),
    forgetAnswers: (beforeMs, entriesMax) =>
      request({ kind: 'forget', beforeMs, entriesMax }) as Promise<number>,
    archive: (asked) => request({ kind: 'archive', asked }) as Promise<boolean>,
    close() {
      closing ??= close();
      return closing;
    },
  };
  const listener = {
    onAppended(outcome: Outcome, report: unknown): void {
      if (outcome.failures.some((failure) => failure.code === 'unknown-outcome')) listener.onLost();
      else ended(commits.finish(outcome), report);
    },
    onLost(): void {
      losses += 1;
      connected = false;
      recover();
    },
  };
  return { log, listener };
}

function listen<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

async function readAll(
  reader: Reader,
  partition: PartitionKey,
  after: number,
  count: number,
): Promise<Entry[]> {
  const all: Entry[] = [];
  while (all.length < count) {
    const entriesMax = Math.min(count - all.length, READ_ENTRIES_MAX);
    all.push(...(await reader.readPartition(partition, after + all.length, entriesMax)));
  }
  return all;
}

const STREAM_BYTES_MAX = 80;
const KEY_BYTES_MAX = 200;

/** Sizes are the caller's to check: a larger one here is a bug. */
function checkEntries(entries: readonly NewEntry[]): void {
  assert(entries.length > 0, 'an append has entries');
  for (const { stream, key } of entries) {
    assert(within(stream, STREAM_BYTES_MAX), `a stream's name has at most ${STREAM_BYTES_MAX} bytes`);
    assert(key === null || within(key, KEY_BYTES_MAX), `a key has at most ${KEY_BYTES_MAX} bytes`);
  }
}

/** UTF-8 has at most three bytes for a UTF-16 unit, so most texts need no count. */
function within(text: string, bytesMax: number): boolean {
  return text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax;
}
