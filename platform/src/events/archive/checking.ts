/**
 * Holds what segments say against the rest of a log. An event in a segment is found by its stream: in its row, which says
 * the same, or by `ended_streams`, which says the same position. And those say nothing of events that are not there.
 */
import { isCardumeError } from '../../base/errors.ts';
import type { Cryptography } from '../../host/cryptography.ts';
import { EMPTY_CHECKSUM, sameChecksum } from '../checksum.ts';
import type { Snapshot } from '../engine.ts';
import type { Entry, PartitionKey } from '../log.ts';
import { openSegment, saysTheSame } from './segment.ts';

export interface ArchivedCheck {
  /** The partition's next entries, in order. */
  page(entries: readonly Entry[]): Promise<void>;
  end(): void;
}

/** Every segment by itself, also where rows say the same: opened, walked, and behind the one before it. */
export async function checkSegments(
  crypto: Pick<Cryptography, 'sha256'>,
  { archive }: Pick<Snapshot, 'archive'>,
  partition: PartitionKey,
  note: (fault: string) => void,
): Promise<void> {
  let last = { position: 0, checksum: EMPTY_CHECKSUM };
  for (;;) {
    const segment = await archive.segmentBehind(partition, last.position);
    if (segment === null) return;
    const where = archive.whereIs(segment);
    if (segment.first !== last.position + 1 || !sameChecksum(segment.before, last.checksum))
      note(`${where}: does not follow position ${last.position} of partition ${partition}`);
    try {
      const opened = openSegment(crypto, segment, await archive.bytesOf(segment), where);
      for (const block of opened.blocks.keys()) opened.read(block);
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      note(error.message);
    }
    last = { position: segment.last, checksum: segment.checksum };
  }
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
      if (row !== undefined && !saysTheSame(entry, row))
        note(`${at}: the row is not the entry in the archive`);
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
