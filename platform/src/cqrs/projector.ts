/**
 * Folds committed entries into read models, on the shard's writer thread, before the commands are answered.
 *
 * Exactly once: rows and checkpoint commit in one transaction, and an entry at or below the checkpoint is passed
 * over. The database runs with `synchronous = NORMAL`: a power loss may take its newest transactions, which are then
 * folded again from the log. All healthy projections share one checkpoint per partition, so that a batch costs one
 * row per partition; one that halts keeps its own from then on.
 */

import type { Entry } from '../events/log.ts';
import { rollBack, transaction } from '../events/sqlite/transaction.ts';
import type { TailSource } from '../events/tail.ts';
import { type Database, type Disk, isPassing, type Statement } from '../host/disk.ts';
import type { Typed } from './aggregate.ts';
import { eventOf } from './codec.ts';
import type { Projection, RowsOf } from './projection.ts';
import { openReadModels, tablesOf } from './read-models.ts';
import { type TableRows, tableRows } from './rows.ts';

export interface Halt {
  readonly projection: string;
  readonly tables: readonly string[];
  readonly reason: string;
}

export interface Projector {
  /** Brings every projection up to the log's head. A halted one is tried again. */
  catchUp(): Promise<void>;
  /** Projections that stand still now. */
  halts(): readonly Halt[];
  /** The log no longer has what these read models were folded from: they were emptied, and are folded anew. */
  readonly begunAgain: boolean;
  /** Entries in order of position within each partition. @returns the projections that halted on them */
  fold(entries: readonly Entry[]): Promise<readonly Halt[]>;
  close(): void;
}

/** Name of the checkpoint that the healthy projections share. */
const SHARED = '';
const CATCH_UP_ENTRIES = 2_000;

type React = (event: never, about: { stream: string; version: number; atMs: number }, rows: RowsOf) => void;

export async function openProjector(
  disk: Disk,
  path: string,
  projections: readonly Projection[],
  source: TailSource,
): Promise<Projector> {
  const { database, begunAgain } = await openReadModels(disk, path, projections, source);
  const rows = new Map<string, TableRows>();
  for (const table of tablesOf(projections)) rows.set(table.name, tableRows(database, table));
  const rowsOf: RowsOf = (table) => rows.get(table.name) as TableRows;
  const checkpoints = openCheckpoints(database);
  const halted = new Map<string, Halt>();
  /** Projections that do not share the checkpoint now: they are halted, or catch up alone. */
  let outside = new Set<string>();
  let interest = reactionsByType(projections);

  function leaveOut(names: Iterable<string>): void {
    outside = new Set(names);
    interest = reactionsByType(projections.filter(({ name }) => !outside.has(name)));
  }

  function apply(projection: Projection, entry: Entry, event: Typed): void {
    const react = projection.on[entry.type] as React;
    for (const table of projection.tables) (rows.get(table.name) as TableRows).at(entry.partition);
    react(
      event as never,
      { stream: entry.stream, version: entry.version as number, atMs: entry.atMs },
      rowsOf,
    );
  }

  /** One transaction; on failure nothing of it stays, and the culprit is named. */
  function transact(entries: readonly Entry[]): { culprit: Projection; error: unknown } | null {
    let culprit: Projection | null = null;
    database.exec('BEGIN IMMEDIATE');
    try {
      const moved = new Map<number, Entry>();
      for (const entry of entries) {
        if (entry.position <= checkpoints.position(SHARED, entry.partition)) continue;
        moved.set(entry.partition, entry);
        const concerned = entry.version === null ? undefined : interest.get(entry.type);
        if (concerned === undefined) continue;
        const event = eventOf(entry);
        for (const projection of concerned) {
          culprit = projection;
          apply(projection, entry, event);
          culprit = null;
        }
      }
      for (const entry of moved.values()) checkpoints.save(SHARED, entry);
      database.exec('COMMIT');
      for (const entry of moved.values()) checkpoints.moved(SHARED, entry);
      return null;
    } catch (error) {
      rollBack(database);
      if (culprit === null || isPassing(error)) throw error; // no projection's fault, whoever was at work
      return { culprit, error };
    }
  }

  function halt(projection: Projection, error: unknown): Halt {
    const reason = error instanceof Error ? error.message : String(error);
    const entry = {
      projection: projection.name,
      tables: projection.tables.map((table) => table.name),
      reason,
    };
    checkpoints.fork(SHARED, projection.name);
    halted.set(projection.name, entry);
    leaveOut([...outside, projection.name]);
    return entry;
  }

  /** Entries that an earlier fold missed, because the storage failed then, are read from the log first. */
  async function withMissing(entries: readonly Entry[]): Promise<readonly Entry[]> {
    const missing: Entry[] = [];
    const seen = new Set<number>();
    for (const entry of entries) {
      if (seen.has(entry.partition)) continue;
      seen.add(entry.partition);
      let position = checkpoints.position(SHARED, entry.partition);
      while (position < entry.position - 1) {
        const page = await source.read(
          entry.partition,
          position,
          Math.min(CATCH_UP_ENTRIES, entry.position - 1 - position),
        );
        missing.push(...page);
        position = page.at(-1)?.position ?? entry.position;
      }
    }
    return missing.length === 0 ? entries : [...missing, ...entries];
  }

  async function fold(committed: readonly Entry[]): Promise<readonly Halt[]> {
    const entries = await withMissing(committed);
    const halts: Halt[] = [];
    for (let failure = transact(entries); failure !== null; failure = transact(entries)) {
      halts.push(halt(failure.culprit, failure.error));
    }
    return halts;
  }

  /** A projection that is new, or was halted, walks alone from its own checkpoint to the shared one. */
  async function catchUpAlone(projection: Projection): Promise<void> {
    for (const head of source.heads()) {
      const target = checkpoints.position(SHARED, head.partition);
      let position = checkpoints.position(projection.name, head.partition);
      while (position < target) {
        const entriesMax = Math.min(CATCH_UP_ENTRIES, target - position);
        const entries = await source.read(head.partition, position, entriesMax);
        const last = entries.at(-1);
        if (last === undefined) break;
        database.exec('BEGIN IMMEDIATE');
        try {
          for (const entry of entries) {
            if (entry.version !== null && projection.on[entry.type] !== undefined)
              apply(projection, entry, eventOf(entry));
          }
          checkpoints.save(projection.name, last);
          database.exec('COMMIT');
        } catch (error) {
          rollBack(database);
          if (isPassing(error)) throw error;
          halt(projection, error);
          return;
        }
        checkpoints.moved(projection.name, last);
        position = last.position;
      }
    }
    checkpoints.join(projection.name);
  }

  return {
    async catchUp() {
      const before = [...halted.values()];
      const apart = projections.filter((projection) => checkpoints.isApart(projection.name));
      halted.clear();
      leaveOut(apart.map(({ name }) => name));
      try {
        for (const head of source.heads()) {
          for (;;) {
            const position = checkpoints.position(SHARED, head.partition);
            const entries = await source.read(head.partition, position, CATCH_UP_ENTRIES);
            if (entries.length === 0) break;
            await fold(entries);
          }
        }
        for (const projection of apart) await catchUpAlone(projection);
      } catch (error) {
        // What had halted before has not caught up.
        for (const halt of before) if (!halted.has(halt.projection)) halted.set(halt.projection, halt);
        throw error;
      }
      leaveOut(halted.keys());
    },
    halts: () => [...halted.values()],
    begunAgain,
    fold,
    close: () => database.close(),
  };
}

function reactionsByType(projections: readonly Projection[]): Map<string, Projection[]> {
  const byType = new Map<string, Projection[]>();
  for (const projection of projections) {
    for (const type of Object.keys(projection.on))
      byType.set(type, [...(byType.get(type) ?? []), projection]);
  }
  return byType;
}

interface Checkpoints {
  position(projection: string, partition: number): number;
  /** Inside the transaction. */
  save(projection: string, entry: Entry): void;
  /** After it has committed. */
  moved(projection: string, entry: Entry): void;
  isApart(projection: string): boolean;
  /** The projection leaves the shared checkpoint and keeps its place. */
  fork(shared: string, projection: string): void;
  /** The projection has caught up with the shared checkpoint. */
  join(projection: string): void;
}

function openCheckpoints(database: Database): Checkpoints {
  const known = new Map<string, number>();
  const name = (projection: string, partition: number): string => `${projection}/${partition}`;
  for (const row of database.prepare('SELECT projection, partition, position FROM _checkpoints').all()) {
    known.set(name(row.projection as string, row.partition as number), row.position as number);
  }
  const upsert: Statement = database.prepare(`INSERT INTO _checkpoints VALUES (?, ?, ?, ?)
    ON CONFLICT (projection, partition) DO UPDATE SET epoch = excluded.epoch, position = excluded.position`);
  const apart = database.prepare('SELECT apart FROM _projections WHERE name = ?');
  const setApart = database.prepare('UPDATE _projections SET apart = ? WHERE name = ?');
  const copy = database.prepare(`INSERT INTO _checkpoints
    SELECT ?, partition, epoch, position FROM _checkpoints WHERE projection = ?
    ON CONFLICT (projection, partition) DO NOTHING`);
  const forget = database.prepare('DELETE FROM _checkpoints WHERE projection = ?');
  return {
    position: (projection, partition) => known.get(name(projection, partition)) ?? 0,
    save: (projection, entry) => void upsert.run(projection, entry.partition, entry.epoch, entry.position),
    moved: (projection, entry) => void known.set(name(projection, entry.partition), entry.position),
    isApart: (projection) => apart.get(projection)?.apart === 1,
    fork(shared, projection) {
      if (apart.get(projection)?.apart === 1) return;
      transaction(database, () => {
        copy.run(projection, shared);
        setApart.run(1, projection);
      });
      for (const [key, position] of [...known]) {
        if (key.startsWith(`${shared}/`))
          known.set(`${projection}/${key.slice(shared.length + 1)}`, position);
      }
    },
    join(projection) {
      transaction(database, () => {
        setApart.run(0, projection);
        forget.run(projection);
      });
      for (const key of [...known.keys()]) if (key.startsWith(`${projection}/`)) known.delete(key);
    },
  };
}
