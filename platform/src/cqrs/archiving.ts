/** Streams that have ended, and are older than the remembered answers, move to archives: docs/guides/archives.md. */
import type { Log } from '../events/log.ts';
import type { Host } from '../host/host.ts';
import type { Aggregate } from './aggregate.ts';
import { everAgain } from './background.ts';

/** Of a segment: fewer make more files, which cost a read each, and compress no worse from some thousand on. */
export const SEGMENT_ENTRIES = 10_000;
/** A step holds the writer thread for some milliseconds: appends keep four fifths of it. */
const PAUSES = { behindMs: 50, share: 4, idleMs: 3_600_000 };

/** @returns ends it */
export function archiveEnded(
  { clock }: Pick<Host, 'clock'>,
  log: Pick<Log, 'archive'>,
  aggregates: readonly Pick<Aggregate, 'idType' | 'endsOn'>[],
  segmentEntriesMax: number,
  report: (message: string, fields: Readonly<Record<string, unknown>>) => void,
): () => void {
  const ending = aggregates.flatMap(({ idType, endsOn = [] }) =>
    endsOn.length === 0 ? [] : [{ streams: `${idType}_`, types: endsOn }],
  );
  if (ending.length === 0) return () => undefined; // nothing would be won
  return everAgain(
    clock,
    PAUSES,
    () => log.archive({ ending, segmentEntriesMax }),
    (error) => report('ended streams were not archived', { error }),
  );
}
