/** The last entries of a copy move into the quarantine, and what rests on them is forgotten: see `Copies.cut`. */
import type { Database } from '../../host/disk.ts';
import type { Clock } from '../../host/host.ts';
import { EMPTY_CHECKSUM } from '../checksum.ts';
import { refusedCut } from '../copies.ts';
import { checkReadBound } from '../engine.ts';
import type { Entry, Head } from '../log.ts';
import { quarantining } from './quarantine.ts';
import { COLUMNS, entryOf } from './reader.ts';
import { endOf, spotOf } from './spot.ts';

/** In the caller's transaction, which has seen that the copy ends there. */
export type Cut = (end: Head, afterPosition: number, entriesMax: number) => void;

export function prepareCut(clock: Clock, database: Database): Cut {
  const archived = database.prepare('SELECT max(last) AS last FROM segments WHERE partition = ?');
  const last = database.prepare(
    `SELECT ${COLUMNS} FROM entries WHERE spot > ? AND spot < ? ORDER BY spot DESC LIMIT ? + 0`,
  );
  const at = database.prepare('SELECT checksum FROM entries WHERE spot = ?');
  const forgotten = database.prepare('SELECT forgotten AS up_to FROM heads WHERE partition = ?');
  const forget = database.prepare('DELETE FROM answers WHERE partition = ? AND key = ? AND position = ?');
  const replaced = database.prepare(
    'SELECT older FROM replaced_answers WHERE partition = ? AND position = ?',
  );
  const unreplaced = database.prepare('DELETE FROM replaced_answers WHERE partition = ? AND position = ?');
  const recall = database.prepare(
    `INSERT INTO answers (partition, key, position) SELECT ?, key, ? FROM entries WHERE spot = ? AND key = ?
     ON CONFLICT DO NOTHING`,
  );
  const remove = database.prepare('DELETE FROM entries WHERE spot = ?');
  const shorten = database.prepare(
    'UPDATE heads SET position = ?1, checksum = ?2, forgotten = min(forgotten, ?1) WHERE partition = ?3',
  );
  const quarantine = quarantining(clock, database);

  /** An older answer of the key counts again, unless its days were over. */
  function forgetAnswer({ partition, key, position }: Entry, forgottenUpTo: number): void {
    if (key === null) return;
    const older = replaced.get(partition, position)?.['older'] as number | undefined;
    if (older !== undefined) unreplaced.run(partition, position);
    if (forget.run(partition, key, position).changes === 0) return;
    if (older === undefined || older <= forgottenUpTo) return;
    recall.run(partition, older, spotOf(partition, older), key);
  }

  return ({ partition, position: end }, afterPosition, entriesMax) => {
    checkReadBound(entriesMax);
    if (end <= afterPosition) return;
    const archivedUpTo = (archived.get(partition)?.['last'] as number | null) ?? 0;
    const stands = afterPosition === 0 || at.get(spotOf(partition, afterPosition)) !== undefined;
    if (archivedUpTo > afterPosition || !stands) throw refusedCut(partition, afterPosition, archivedUpTo);
    const rows = last.all(spotOf(partition, afterPosition), endOf(partition), entriesMax).map(entryOf);
    const forgottenUpTo = forgotten.get(partition)?.['up_to'] as number;
    for (const entry of rows) {
      quarantine(entry);
      forgetAnswer(entry, forgottenUpTo);
      remove.run(spotOf(partition, entry.position));
    }
    const position = end - rows.length;
    const checksum = (at.get(spotOf(partition, position))?.['checksum'] as Uint8Array) ?? EMPTY_CHECKSUM;
    shorten.run(position, checksum, partition);
  };
}
