import type { TailSource } from '../events/tail.ts';

/** A checkpoint as an engine stores it: the entry that was folded last. */
export interface StoredCheckpoint {
  readonly projection: string;
  readonly partition: number;
  readonly epoch: number;
  readonly position: number;
}

/** Whether the log holds, at each checkpoint, the entry that was folded last. */
export async function standsOn(stored: readonly StoredCheckpoint[], source: TailSource): Promise<boolean> {
  const open = new Set(source.heads().map(({ partition }) => partition));
  for (const { partition, epoch, position } of stored) {
    if (!open.has(partition) || position === 0) continue;
    const [entry] = await source.read(partition, position - 1, 1);
    if (entry?.epoch !== epoch) return false;
  }
  return true;
}
