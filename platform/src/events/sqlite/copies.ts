/** Copies in SQLite: see ../copies.ts. */

import { transaction } from '../../database/sqlite/transaction.ts';
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { EMPTY_CHECKSUM } from '../checksum.ts';
import type { Commits } from '../commit.ts';
import {
  COPY,
  type Copies,
  type CopyStep,
  checkEndsAt,
  copyPages,
  refusalOf,
  refusedCopy,
  stepOf,
} from '../copies.ts';
import type { Reader } from '../engine.ts';
import { fencedError } from '../group-commit.ts';
import type { Copied, CopyPage, Entry, Head, PartitionKey } from '../log.ts';
import type { ArchiveDrop } from './archive-store.ts';
import { prepareCut } from './cut.ts';
import { markGivenAway } from './schema.ts';
import { endOf, positionOf, spotOf } from './spot.ts';

/** Below all epochs of a home. */
const NO_EPOCH = -1;

export interface SqliteCopies extends Copies {
  /** Those that an opening follows. */
  take(partitions: readonly PartitionKey[]): void;
}

export interface CopiesGround {
  readonly opener: number;
  readonly insert: (entry: Entry) => void;
  readonly headOf: (partition: PartitionKey) => Head;
  /** The engine's homes. */
  readonly homes: Pick<Commits, 'heads' | 'enter' | 'leave'>;
  readonly archive: ArchiveDrop;
  readonly read: Reader['readPartition'];
}

export function copiesIn(
  { clock, crypto }: Pick<Host, 'clock' | 'crypto'>,
  database: Database,
  { opener, insert, headOf, homes, archive, read }: CopiesGround,
): SqliteCopies {
  const heads = new Map<PartitionKey, Head>();
  const statements = {
    head: database.prepare('SELECT 1 FROM heads WHERE partition = ?'),
    begin: database.prepare(
      `INSERT INTO heads (partition, epoch, position, checksum, batch, forgotten) VALUES (?, 0, 0, ?, ${COPY}, 0)
       ON CONFLICT DO NOTHING`,
    ),
    raise: database.prepare(`UPDATE heads SET epoch = max(epoch, ?) WHERE partition = ? AND batch = ${COPY}`),
    isCopy: database.prepare(`SELECT 1 FROM heads WHERE partition = ? AND batch = ${COPY}`),
    move: database.prepare(
      `UPDATE heads SET epoch = ?, position = ?, checksum = ?
       WHERE partition = ? AND epoch = ? AND position = ? AND batch = ${COPY}`,
    ),
    stands: database.prepare(
      `SELECT 1 FROM heads WHERE partition = ? AND epoch = ? AND position = ? AND batch = ${COPY}`,
    ),
    // A key may be used again after its days: the newest answer is the one that counts.
    remember: database.prepare(
      'INSERT INTO answers (partition, key, position) VALUES (?, ?, ?) ON CONFLICT (partition, key) DO NOTHING',
    ),
    replaced: database.prepare(
      `INSERT INTO replaced_answers (partition, position, older)
       SELECT partition, ?, position FROM answers WHERE partition = ? AND key = ?
       ON CONFLICT (partition, position) DO UPDATE SET older = excluded.older`,
    ),
    replace: database.prepare('UPDATE answers SET position = ? WHERE partition = ? AND key = ?'),
    unreplaced: database.prepare('DELETE FROM replaced_answers WHERE partition = ? AND position = ?'),
    adopt: database.prepare(
      `UPDATE heads SET epoch = max(epoch + 1, ?), batch = ?
       WHERE partition = ? AND ((batch = ${COPY} AND epoch = ?) OR epoch = ? OR batch = ?)`,
    ),
    release: database.prepare(
      `UPDATE heads SET epoch = epoch + 1, batch = ${COPY} WHERE partition = ? AND epoch = ?`,
    ),
    unseat: database.prepare(
      `UPDATE heads SET epoch = epoch + 1, batch = ${COPY} WHERE partition = ? AND batch <> ${COPY}`,
    ),
    last: database.prepare(
      'SELECT spot, key FROM entries WHERE spot > ? AND spot < ? ORDER BY spot DESC LIMIT ? + 0',
    ),
    forget: database.prepare('DELETE FROM answers WHERE partition = ? AND key = ?'),
    remove: database.prepare('DELETE FROM entries WHERE spot = ?'),
    end: database.prepare(`DELETE FROM heads WHERE partition = ? AND batch = ${COPY}`),
  };

  const cut = prepareCut(clock, database);
  const isCopy = (partition: PartitionKey): boolean => statements.isCopy.get(partition) !== undefined;

  function follow(partition: PartitionKey, aboveEpoch = 0): Head {
    if (!isCopy(partition)) throw refusedCopy(partition);
    if (aboveEpoch > 0) statements.raise.run(aboveEpoch, partition);
    const head = headOf(partition);
    heads.set(partition, head);
    return head;
  }

  function apply({ from, to, added }: CopyStep): void {
    const { partition, epoch, position } = from;
    if (added.length === 0 && to.epoch === epoch) {
      if (statements.stands.get(partition, epoch, position) === undefined) throw refusedCopy(partition);
      return;
    }
    const { changes } = statements.move.run(to.epoch, to.position, to.checksum, partition, epoch, position);
    if (changes !== 1) throw refusedCopy(partition);
    for (const entry of added) {
      insert(entry);
      const { key } = entry;
      if (key === null || statements.remember.run(partition, key, entry.position).changes === 1) continue;
      statements.replaced.run(entry.position, partition, key);
      statements.replace.run(entry.position, partition, key);
    }
  }

  async function copy(pages: readonly CopyPage[]): Promise<Copied[]> {
    const steps: CopyStep[] = [];
    const copied: Copied[] = [];
    for (const page of pages) {
      const { partition } = page;
      try {
        const step = await stepOf(crypto, heads.get(partition) ?? follow(partition), page, read);
        steps.push(step);
        copied.push({ partition, head: step.to, added: step.added.length });
      } catch (error) {
        const refused = refusalOf(error);
        if (refused === null) throw error;
        copied.push({ partition, refused });
      }
    }
    try {
      if (steps.length > 0) transaction(database, () => steps.forEach(apply));
    } catch (error) {
      for (const { from } of steps) heads.delete(from.partition); // a failed commit may stand: the next look tells
      throw error;
    }
    for (const { to } of steps) heads.set(to.partition, to);
    return copied;
  }

  return {
    heads: () => [...heads.values()],
    take(partitions) {
      // Of an adoption whose answer was lost it is a home by now: whoever asked for that asks again. And whoever stood
      // still may look for copies that others have dropped since.
      for (const partition of partitions) if (isCopy(partition)) follow(partition);
    },
    async begin(partition) {
      statements.begin.run(partition, EMPTY_CHECKSUM);
      return follow(partition);
    },
    follow: async (partition, aboveEpoch) => follow(partition, aboveEpoch),
    async check(partition) {
      heads.delete(partition);
      const stands = statements.head.get(partition);
      if (stands !== undefined && !isCopy(partition)) throw refusedCopy(partition);
    },
    copy: (pages) => copyPages(pages, copy),
    async adopt(partition, epoch, floor = 0) {
      // Our own again: a release, or an adoption, was cut off, and nobody knows what became of it.
      const own = homes.heads().find((head) => head.partition === partition)?.epoch ?? NO_EPOCH;
      const { changes } = statements.adopt.run(floor, -opener, partition, epoch, own, -opener);
      if (changes !== 1) throw refusedCopy(partition);
      heads.delete(partition);
      const head = headOf(partition);
      homes.enter(head);
      return head;
    },
    async release(partition) {
      const home = homes.heads().find((head) => head.partition === partition);
      transaction(database, () => {
        if (home === undefined || statements.release.run(partition, home.epoch).changes !== 1)
          throw fencedError(partition);
        markGivenAway(database);
      });
      homes.leave(partition);
      const head = headOf(partition);
      heads.set(partition, head);
      return head;
    },
    async unseat(partition) {
      if (statements.unseat.run(partition).changes !== 1) throw refusedCopy(partition);
      homes.leave(partition);
      return follow(partition);
    },
    async cut(seen, afterPosition, entriesMax) {
      const { partition } = seen;
      heads.delete(partition);
      transaction(database, () => {
        if (!isCopy(partition)) throw refusedCopy(partition);
        checkEndsAt(seen, headOf(partition));
        cut(seen, afterPosition, entriesMax);
      });
      // Until it is cut whole nobody folds what is about to go.
      const left = headOf(partition);
      return left.position > afterPosition ? left : follow(partition);
    },
    async drop(partition, entriesMax) {
      heads.delete(partition);
      const { rows: dropped, files } = transaction(database, () => {
        const rows = statements.last.all(spotOf(partition, 0), endOf(partition), entriesMax);
        if (rows.length > 0 && !isCopy(partition)) throw refusedCopy(partition);
        for (const { spot, key } of rows) {
          if (key !== null) {
            statements.forget.run(partition, key as string);
            statements.unreplaced.run(partition, positionOf(spot as number));
          }
          statements.remove.run(spot as number);
        }
        if (rows.length === entriesMax) return { rows: entriesMax, files: [] };
        const archived = archive.dropRows(partition, entriesMax - rows.length);
        return { rows: rows.length + archived.rows, files: archived.files };
      });
      await archive.removeFiles(files);
      if (dropped < entriesMax) statements.end.run(partition);
      return dropped;
    },
  };
}
