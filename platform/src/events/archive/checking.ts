/**
 * Holds what segments say against the rest of a log. An event in a segment is found by its stream: in its row, which says
 * the same, or by `ended_streams`, which says the same position. And those say nothing of events that are not there.
 */
import type { Snapshot } from '../engine.ts';
import type { Entry, PartitionKey } from '../log.ts';
import { isSame } from './segment.ts';

export interface ArchivedCheck {
  /** The partition's next entries, in order. */
  page(entries: readonly Entry[]): Promise<void>;
  end(): void;
}

export async function checkArchived(
  snapshot: Snapshot,
  partition: PartitionKey,
  note: (fault: string) => void,
): Promise<ArchivedCheck> {
  const upTo = await snapshot.archivedUpTo(partition);
  const versions = await snapshot.endedVersions(partition);
  let found = 0;

  async function page(entries: readonly Entry[]): Promise<void> {
    const archived = entries.filter(({ position }) => position <= upTo);
    const [first, last] = [archived[0], archived.at(-1)];
    if (first === undefined || last === undefined) return;
    const rows = new Map(
      (await snapshot.rows(partition, first.position - 1, last.position)).map((row) => [row.position, row]),
    );
    const ended = await snapshot.ended(partition, [...new Set(archived.map(({ stream }) => stream))]);
    for (const entry of archived) {
      const { position, stream, version } = entry;
      const at = `partition ${partition}, position ${position}`;
      const row = rows.get(position);
      if (row !== undefined && !isSame(entry, row)) note(`${at}: the row is not the entry in the archive`);
      if (version === null) continue;
      const known = ended.get(stream)?.[version - 1];
      if (known === position) found += 1;
      else if (known !== undefined) note(`${at}: '${stream}' has ended, and is said to have it at ${known}`);
      else if (row === undefined) note(`${at}: '${stream}' has not ended, and has no row`);
    }
  }

  return {
    page,
    end() {
      if (found !== versions)
        note(
          `partition ${partition}: streams that have ended name ${versions} events, and ${found} are there`,
        );
    },
  };
}
