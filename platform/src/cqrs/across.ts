/**
 * What is durable in this region alone may be lost with it. So effects of processes begin behind the watermark (the
 * position up to which a second region has a partition), and where the service asks for it, answers wait for it too:
 * acknowledgements, replayed answers, and whatever is read.
 */
import { isCardumeError } from '../base/errors.ts';
import type { Entry, Log } from '../events/log.ts';

/** How far other regions have followed the homes of one shard. */
export interface Across {
  /** 0: nothing is known yet. */
  watermark(partition: number): number;
  /** @throws CardumeError `unknown-outcome` when it does not come in time */
  reached(partition: number, position: number): Promise<void>;
  onRise(listener: (partition: number, watermark: number) => void): () => void;
  /** Whether answers of the partition wait. */
  isAwaited(partition: number): boolean;
  /** See `DecideContext.unclean`. */
  unclean(partition: number): number;
  /** @throws CardumeError `replicas-behind` when other regions lack more of the partition than its service allows */
  checkBound(partition: number): void;
}

const HELD_ENTRIES_MAX = 4_096;
const PAGE_ENTRIES = 512;

/** The log as callers may see it: what it tells of awaited partitions is durable in a second region. */
export function toldAcross(log: Log, across: Across): Log {
  const headOf = (partition: number): number => log.head(partition)?.position ?? 0;

  async function afterAll(partition: number, before: void | Promise<void>, upTo?: number): Promise<void> {
    await before;
    await across.reached(partition, upTo ?? headOf(partition));
  }

  return {
    ...log,
    append(partition, entries) {
      const appended = log.append(partition, entries);
      if (!across.isAwaited(partition)) return appended;
      return appended.then(async (first) => {
        await across.reached(partition, first.position + entries.length - 1);
        return first;
      });
    },
    settled(partition) {
      const settled = log.settled(partition);
      return across.isAwaited(partition) ? afterAll(partition, settled) : settled;
    },
    checkOpen(partition, upTo) {
      const checked = log.checkOpen(partition);
      if (!across.isAwaited(partition)) return checked;
      if (checked === undefined && across.watermark(partition) >= (upTo ?? headOf(partition))) return;
      return afterAll(partition, checked, upTo);
    },
    async findAnswer(partition, key) {
      const entry = await log.findAnswer(partition, key);
      if (entry !== null && across.isAwaited(partition)) await across.reached(partition, entry.position);
      return entry;
    },
  };
}

/**
 * Behind a read of tables: their homes must still be here, and what was read of awaited partitions durable in a second
 * region. All are waited for at once, and up to what stands now: one after another, each would take along what came
 * meanwhile.
 * @throws CardumeError as `Log.checkOpen` does, `unknown-outcome`
 */
export async function checkRead(
  log: Log,
  across: Across | undefined,
  partitions: readonly number[],
): Promise<void> {
  await Promise.all(
    partitions.map(async (partition) => {
      if (across?.isAwaited(partition) !== true) return log.checkOpen(partition);
      // Tables show a batch a moment before its end is heard of here.
      await log.settled(partition).catch(refuseUnknown);
      const { position } = log.head(partition) ?? { position: 0 };
      await log.checkOpen(partition);
      await across.reached(partition, position);
    }),
  );
}

/** An append that failed has left nothing in the tables either. */
function refuseUnknown(error: unknown): void {
  if (!isCardumeError(error) || error.code === 'unknown-outcome') throw error;
}

/** The log as those see it who follow streams: of awaited partitions nothing beyond the watermark. */
export function visibleAcross(log: Log, across: Across): Log {
  return {
    ...log,
    async readStream(partition, stream, fromVersion, entriesMax) {
      const page = await log.readStream(partition, stream, fromVersion, entriesMax);
      if (!across.isAwaited(partition)) return page;
      const upTo = across.watermark(partition);
      return page.filter(({ position }) => position <= upTo);
    },
    onCommit: (listener) => feedBehind(log, across, across.isAwaited, listener),
  };
}

/** Committed entries as effects may see them: when a second region has them. @returns ends it */
export function onDurable(
  log: Log,
  across: Across,
  listener: (entries: readonly Entry[]) => void,
): () => void {
  return feedBehind(log, across, () => true, listener);
}

/** Resolves when the watermark is there, however long that takes; undefined: it is there now. */
export function untilRisen(across: Across, partition: number, position: number): Promise<void> | undefined {
  if (across.watermark(partition) >= position) return undefined;
  return new Promise((resolve) => {
    const stop = across.onRise((risen, watermark) => {
      if (risen !== partition || watermark < position) return;
      stop();
      resolve();
    });
  });
}

interface Line {
  /** Position of the last entry that was handed on. */
  delivered: number;
  /** Of the last one that was committed. */
  seen: number;
  /** Some of those behind; the others, when there were too many, are read from the log. */
  held: Entry[];
  isReading: boolean;
}

/** Committed entries, in order; those of partitions that wait, up to the watermark. */
function feedBehind(
  log: Log,
  across: Across,
  waits: (partition: number) => boolean,
  listener: (entries: readonly Entry[]) => void,
): () => void {
  const lines = new Map<number, Line>();

  function lineOf(partition: number, first: number): Line {
    let line = lines.get(partition);
    // It has moved away and come back, when there is a gap: what was before is known to whoever took it up.
    if (line === undefined || first !== line.seen + 1) {
      line = { delivered: first - 1, seen: first - 1, held: [], isReading: false };
      lines.set(partition, line);
    }
    return line;
  }

  function deliver(partition: number, line: Line): void {
    const head = log.head(partition);
    if (head === undefined) {
      lines.delete(partition); // it is at home elsewhere by now
      return;
    }
    const upTo = across.watermark(partition);
    if (line.isReading || upTo <= line.delivered) return;
    if (line.held[0]?.position === line.delivered + 1) {
      const count = line.held.findIndex(({ position }) => position > upTo);
      const due = line.held.splice(0, count < 0 ? line.held.length : count);
      line.delivered = (due.at(-1) as Entry).position;
      listener(due);
      if (line.held.length > 0) return;
    }
    if (line.delivered < Math.min(upTo, head.position)) void readOn(partition, line);
  }

  /** Those that were too many to be held. */
  async function readOn(partition: number, line: Line): Promise<void> {
    line.isReading = true;
    try {
      while (lines.get(partition) === line) {
        const left =
          Math.min(across.watermark(partition), log.head(partition)?.position ?? 0) - line.delivered;
        if (left <= 0) break;
        const page = await log.readPartition(partition, line.delivered, Math.min(PAGE_ENTRIES, left));
        if (page.length === 0 || lines.get(partition) !== line) break;
        line.delivered = (page.at(-1) as Entry).position;
        listener(page);
      }
    } catch {
      // The log closes, or cannot be read now: the next rise tries again.
    } finally {
      line.isReading = false;
      line.held = line.held.filter(({ position }) => position > line.delivered);
    }
  }

  const stopListening = log.onCommit((entries) => {
    const now: Entry[] = [];
    const touched = new Set<number>();
    for (const entry of entries) {
      const { partition } = entry;
      if (!waits(partition)) {
        now.push(entry);
        continue;
      }
      const line = lineOf(partition, entry.position);
      line.seen = entry.position;
      if (line.held.length < HELD_ENTRIES_MAX && !line.isReading) line.held.push(entry);
      else line.held = [];
      touched.add(partition);
    }
    if (now.length > 0) listener(now);
    for (const partition of touched) deliver(partition, lines.get(partition) as Line);
  });
  const stopRising = across.onRise((partition) => {
    const line = lines.get(partition);
    if (line !== undefined) deliver(partition, line);
  });
  return () => {
    stopListening();
    stopRising();
    lines.clear();
  };
}
