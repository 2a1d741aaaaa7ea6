/**
 * The outcome of a batch whose writer thread ended before it could say it. Of each partition a prefix of the batch's
 * appends stands, so the number of its entries in the log tells which; nothing is guessed.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { Failure, Outcome } from './batch.ts';
import { joinChecksums } from './checksum.ts';
import type { Recovered } from './engine.ts';
import type { UnderWay } from './group-commit.ts';
import type { Entry, PartitionKey } from './log.ts';

/** @param stand the batch's entries that the log holds, each partition's in order */
export function outcomeOfLost(
  { batch, appends }: UnderWay,
  recovered: readonly Recovered[],
  stand: readonly Entry[],
): Outcome {
  const left = Map.groupBy(stand, (entry) => entry.partition);
  const fenced = new Set<PartitionKey>(recovered.filter((one) => one.fenced).map((one) => one.partition));
  const failures: Failure[] = [];
  const standing: Entry[] = [];
  const positions = appends.map(({ partition, entries }, append) => {
    const own = left.get(partition) ?? [];
    if (own.length >= entries.length) {
      standing.push(...own.splice(0, entries.length));
      return (standing.at(-1) as Entry).position - entries.length + 1;
    }
    const [code, detail] = why(fenced.has(partition), stand.length === 0);
    failures.push({ append, code, detail });
    return 0;
  });
  return { batch, positions, failures, checksums: joinChecksums(standing) };
}

function why(fenced: boolean, nothingStands: boolean): [ErrorCode, string] {
  if (fenced) return ['fenced', 'another host has opened the partition'];
  if (nothingStands) return ['storage-failed', 'the writer thread ended before the commit'];
  return ['conflict', 'the append, or an earlier one of its partition, was refused'];
}

/** When even the reopening failed: nobody knows. */
export function unknownOutcome({ batch, appends }: UnderWay, detail: string): Outcome {
  return {
    batch,
    positions: appends.map(() => 0),
    failures: appends.map((_, append) => ({ append, code: 'unknown-outcome', detail })),
    checksums: new Uint8Array(0),
  };
}
