/**
 * What a segment's file is called. The epoch in which its partition was open to whoever made it makes a name that is used
 * once: a process that stood still has older names in mind than its successor, and touches none of the successor's.
 */
import type { PartitionKey } from '../log.ts';
import type { Segment } from './segment.ts';

export interface Named {
  readonly partition: PartitionKey;
  readonly epoch: number;
  /** Position of its last entry. */
  readonly last: number;
}

/** `33-7-1-10000-<checksum of its last entry, hexadecimal>.segment`: partition, epoch, first and last position. */
export function nameOf({ partition, epoch, first, last, checksum }: Segment): string {
  return `${partition}-${epoch}-${first}-${last}-${Buffer.from(checksum).toString('hex')}.segment`;
}

/** @returns null for what is no segment's; what was cut off while it was written has an ending of its own behind */
export function readName(name: string): Named | null {
  const found = /^(\d+)-(\d+)-\d+-(\d+)-[0-9a-f]+\.segment/.exec(name);
  if (found === null) return null;
  const [, partition, epoch, last] = found;
  return { partition: Number(partition), epoch: Number(epoch), last: Number(last) };
}
