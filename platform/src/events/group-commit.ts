/**
 * The queue of a shard's appends, without I/O: what arrives while a batch is under way shares the next one.
 *
 * One batch is under way at a time. When an append fails, those of its partition that wait are discarded with it
 * (they may rest on it); the engine does the same within the batch. So of each partition a prefix stands, and the
 * failure leaves nothing of the partition under way. An append that is refused at the door (queue full, fenced,
 * closed) keeps to the same rule: it fails when all before it have been told, and takes with it what came after.
 */
import { CardumeError } from '../base/errors.ts';
import { type Batch, type Cell, type Failure, type Outcome, pack } from './batch.ts';
import { CHECKSUM_BYTES } from './checksum.ts';
import type { Appended, Entry, Head, NewEntry, PartitionKey } from './log.ts';

export interface LogBounds {
  /** Entries of one transaction; a larger append makes one alone. */
  readonly batchEntriesMax: number;
  /** Entries that wait for the writer; beyond it `append` throws `overloaded`. */
  readonly queueEntriesMax: number;
}

export interface GroupCommit {
  append(partition: PartitionKey, entries: readonly NewEntry[]): Promise<Appended>;
  settled(partition: PartitionKey): Promise<void>;
  /** Heads of the partitions that are not fenced. */
  heads(): Head[];
  head(partition: PartitionKey): Head | undefined;
  isFenced(partition: PartitionKey): boolean;
  /** It is open here, and not about to move away. */
  isHere(partition: PartitionKey): boolean;
  /** Some append to it was not told yet. */
  isWaiting(partition: PartitionKey): boolean;
  /** Another host has the partition when the epoch is above ours. @returns whether we learn it now */
  fenceAfter(partition: PartitionKey, epoch: number): boolean;
  /** Appends to the partition are refused from now on: it is about to move away. */
  part(partition: PartitionKey): void;
  /** It has moved away, and nothing of it waits. */
  leave(partition: PartitionKey): void;
  /** Its home is here from now on. */
  enter(head: Head): void;
  /** The next batch, which is under way from now on; null when one is, or nothing waits. */
  take(): Batch | null;
  /** The batch under way has ended: heads move, nobody is told yet. */
  finish(outcome: Outcome): Finished;
  /** Appends that were refused at the door and have nothing before them any more; null when there are none. */
  refusals(): Told | null;
  underWay(): UnderWay | null;
  /** Number of the last batch taken. */
  lastBatch(): number;
  /** How often it was opened again. */
  openings(): number;
  /** A new opening: the partitions that are left, with their epochs; the others are fenced. */
  reopened(heads: readonly Head[]): void;
  /** Fails what waits. */
  discardWaiting(error: CardumeError): Told;
  /** Refuses appends from now on. */
  refuse(error: CardumeError): void;
  idle(): boolean;
}

export interface Told {
  /** Partitions with a failed append. */
  readonly failed: readonly PartitionKey[];
  /** Resolves and rejects the appends, in order of arrival. */
  tell(): void;
}

export interface Finished extends Told {
  /** What stands now; made when asked for. */
  entries(): Entry[];
  /** Partitions that turned out to be another host's. */
  readonly fenced: readonly PartitionKey[];
}

export interface UnderWay {
  readonly batch: number;
  readonly appends: readonly Pending[];
}

export interface Pending {
  readonly partition: PartitionKey;
  readonly entries: readonly NewEntry[];
  readonly resolve: (appended: Appended) => void;
  readonly reject: (error: Error) => void;
  /** Calls of `settled` that wait for this append. */
  waiters: { resolve(): void; reject(error: Error): void }[] | null;
}

interface Line {
  head: Head;
  fenced: boolean;
  /** Appends that wait or are under way. */
  open: number;
  /** The last append that was not told yet. */
  last: Pending | null;
  refused: Pending[];
  refusal: CardumeError | null;
  /** It is about to move away. */
  parting: boolean;
}

const lineFrom = (head: Head): Line => {
  return { head, fenced: false, open: 0, last: null, refused: [], refusal: null, parting: false };
};

/**
 * Refused appends of a partition that wait to be told in their turn. When the disk hangs and callers go on, those
 * beyond are told at once: they come after a refused one, so none of what they rest on will be.
 */
const REFUSED_MAX = 10_000;

/** @param mayServe throws when nothing may be told as done any more */
export function groupCommit(
  bounds: LogBounds,
  opened: readonly Head[],
  mayServe: () => void = () => undefined,
): GroupCommit {
  const lines = new Map<PartitionKey, Line>();
  for (const head of opened) lines.set(head.partition, lineFrom(head));
  const refusing = new Set<PartitionKey>();
  let waiting: Pending[] = [];
  let waitingEntries = 0;
  let current: { batch: number; appends: Pending[] } | null = null;
  let batches = 0;
  let openings = 0;
  let closed: CardumeError | null = null;

  const lineOf = (partition: PartitionKey): Line => lines.get(partition) as Line;

  function refusalAtTheDoor(line: Line, entries: number): CardumeError | null {
    if (line.refusal !== null) return line.refusal;
    if (line.parting) return notOpenError(line.head.partition);
    if (closed !== null) return closed;
    if (line.fenced) return fencedError(line.head.partition);
    if (waitingEntries + entries <= bounds.queueEntriesMax) return null;
    return new CardumeError('overloaded', `${waitingEntries} entries wait for the log's writer`);
  }

  function succeed(pending: Pending, appended: Appended): void {
    const line = lineOf(pending.partition);
    line.open -= 1;
    if (line.last === pending) line.last = null;
    pending.resolve(appended);
    if (pending.waiters !== null) for (const waiter of pending.waiters) waiter.resolve();
  }

  function fail(pending: Pending, error: CardumeError): void {
    const line = lineOf(pending.partition);
    if (line.last === pending) line.last = null;
    pending.reject(error);
    if (pending.waiters !== null) for (const waiter of pending.waiters) waiter.reject(error);
  }

  /** Takes what waits for these partitions out of the queue. */
  function takeOut(partitions: ReadonlySet<PartitionKey>): Pending[] {
    if (partitions.size === 0) return [];
    const out = waiting.filter((pending) => partitions.has(pending.partition));
    waiting = waiting.filter((pending) => !partitions.has(pending.partition));
    for (const pending of out) waitingEntries -= pending.entries.length;
    return out;
  }

  return {
    append(partition, entries) {
      const line = lines.get(partition);
      if (line === undefined) {
        return Promise.reject(notOpenError(partition));
      }
      return new Promise((resolve, reject) => {
        const pending: Pending = { partition, entries, resolve, reject, waiters: null };
        const refusal = refusalAtTheDoor(line, entries.length);
        if (refusal !== null && line.refused.length >= REFUSED_MAX) {
          reject(refusal);
          return;
        }
        line.last = pending;
        if (refusal !== null) {
          line.refusal = refusal;
          line.refused.push(pending);
          refusing.add(partition);
          return;
        }
        line.open += 1;
        waiting.push(pending);
        waitingEntries += entries.length;
      });
    },
    settled(partition) {
      const last = lines.get(partition)?.last ?? null;
      if (last === null) return Promise.resolve();
      return new Promise((resolve, reject) => {
        last.waiters ??= [];
        last.waiters.push({ resolve, reject });
      });
    },
    heads: () => [...lines.values()].filter((line) => !line.fenced).map((line) => line.head),
    head: (partition) => lines.get(partition)?.head,
    isFenced: (partition) => lines.get(partition)?.fenced === true,
    isWaiting: (partition) => (lines.get(partition)?.last ?? null) !== null,
    isHere(partition) {
      const line = lines.get(partition);
      return line !== undefined && !line.parting;
    },
    fenceAfter(partition, epoch) {
      const line = lines.get(partition);
      // The epoch of one that parts grows by our own hand.
      if (line === undefined || line.fenced || line.parting || epoch <= line.head.epoch) return false;
      line.fenced = true;
      return true;
    },
    part(partition) {
      const line = lines.get(partition);
      if (line === undefined || line.fenced) throw notOpenError(partition);
      line.parting = true;
    },
    leave: (partition) => void lines.delete(partition),
    enter: (head) => void lines.set(head.partition, lineFrom(head)),
    take() {
      if (current !== null || waiting.length === 0) return null;
      let count = 0;
      let entries = 0;
      const appends: number[] = [];
      const cells: Cell[] = [];
      for (const pending of waiting) {
        if (count > 0 && entries + pending.entries.length > bounds.batchEntriesMax) break;
        count += 1;
        entries += pending.entries.length;
        appends.push(pending.partition, pending.entries.length);
        pack(pending.entries, cells);
      }
      batches += 1;
      current = { batch: batches, appends: waiting.splice(0, count) };
      waitingEntries -= entries;
      return { number: batches, appends, cells };
    },
    finish(outcome) {
      const { appends } = current as UnderWay;
      current = null;
      const failures = new Map<number, Failure>(outcome.failures.map((failure) => [failure.append, failure]));
      const failed = new Set<PartitionKey>();
      const fenced = new Set<PartitionKey>();
      for (const { append, code } of outcome.failures) {
        const { partition } = appends[append] as Pending;
        failed.add(partition);
        if (code === 'fenced') fenced.add(partition);
      }
      for (const partition of fenced) lineOf(partition).fenced = true;
      // Of what stands here, but may not stand where its home is by now.
      const doubt = doubtOf(mayServe);
      if (doubt !== null) for (const { partition } of appends) failed.add(partition);
      const discarded = takeOut(failed);
      const appended = appends.map(({ partition }, i): Appended => {
        return { partition, epoch: lineOf(partition).head.epoch, position: outcome.positions[i] as number };
      });

      /** Of each partition the last entry that stands: its position and where its checksum ends. */
      const ends = new Map<PartitionKey, { position: number; end: number }>();
      let stand = 0;
      appends.forEach(({ partition, entries }, i) => {
        if (failures.has(i)) return;
        stand += entries.length;
        const position = (outcome.positions[i] as number) + entries.length - 1;
        ends.set(partition, { position, end: stand * CHECKSUM_BYTES });
      });
      for (const [partition, { position, end }] of ends) {
        const line = lineOf(partition);
        const { epoch } = line.head;
        const checksum = outcome.checksums.subarray(end - CHECKSUM_BYTES, end);
        line.head = { partition, epoch, lastEpoch: epoch, position, checksum };
      }

      return {
        failed: [...failed],
        fenced: [...fenced],
        entries() {
          const all: Entry[] = [];
          appends.forEach(({ entries }, i) => {
            if (failures.has(i)) return;
            const { partition, epoch, position } = appended[i] as Appended;
            entries.forEach((entry, n) => {
              const at = all.length * CHECKSUM_BYTES;
              const checksum = outcome.checksums.subarray(at, at + CHECKSUM_BYTES);
              all.push({ partition, position: position + n, epoch, ...entry, checksum });
            });
          });
          return all;
        },
        tell() {
          appends.forEach((pending, i) => {
            const failure = failures.get(i);
            if (failure === undefined && doubt === null) {
              succeed(pending, appended[i] as Appended);
              return;
            }
            lineOf(pending.partition).open -= 1;
            fail(
              pending,
              failure === undefined
                ? (doubt as CardumeError)
                : new CardumeError(failure.code, failure.detail),
            );
          });
          for (const pending of discarded) {
            const { partition } = pending;
            lineOf(partition).open -= 1;
            fail(
              pending,
              fenced.has(partition)
                ? fencedError(partition)
                : new CardumeError('conflict', 'an earlier append to the partition failed'),
            );
          }
        },
      };
    },
    refusals() {
      const due = [...refusing].filter((partition) => lineOf(partition).open === 0);
      if (due.length === 0) return null;
      return {
        failed: due,
        tell() {
          for (const partition of due) {
            refusing.delete(partition);
            const line = lineOf(partition);
            const { refused, refusal } = line;
            line.refused = [];
            line.refusal = null;
            for (const pending of refused) fail(pending, refusal as CardumeError);
          }
        },
      };
    },
    underWay: () => current,
    lastBatch: () => batches,
    openings: () => openings,
    reopened(heads) {
      openings += 1;
      const left = new Map(heads.map((head) => [head.partition, head]));
      for (const [partition, line] of lines) {
        const head = left.get(partition);
        if (head === undefined) line.fenced = true;
        else line.head = head;
      }
    },
    discardWaiting(error) {
      const failed = new Set(waiting.map((pending) => pending.partition));
      const discarded = takeOut(failed);
      return {
        failed: [...failed],
        tell() {
          for (const pending of discarded) {
            lineOf(pending.partition).open -= 1;
            fail(pending, error);
          }
        },
      };
    },
    refuse(error) {
      closed = error;
    },
    idle: () => current === null && waiting.length === 0 && refusing.size === 0,
  };
}

function doubtOf(mayServe: () => void): CardumeError | null {
  try {
    mayServe();
    return null;
  } catch (error) {
    const detail = `it stands here, but another region may have taken over: ${(error as Error).message}`;
    return new CardumeError('unknown-outcome', detail, { cause: error });
  }
}

/** It is another shard's, or nobody's: whoever routes looks again. */
export function notOpenError(partition: PartitionKey): CardumeError {
  return new CardumeError('partition-unavailable', `partition ${partition} is not open here`);
}

export function fencedError(partition: PartitionKey): CardumeError {
  return new CardumeError('fenced', `another host has opened partition ${partition}`);
}
