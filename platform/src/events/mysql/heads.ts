import type { SqlRow } from '../../host/disk.ts';
import type { Head } from '../log.ts';

/** Of heads, with the epoch of the entry at their position. */
export const HEADS = `SELECT h.partition_key, h.epoch, h.position, h.checksum, e.epoch AS last_epoch FROM log_heads h
  LEFT JOIN log_entries e ON e.partition_key = h.partition_key AND e.position = h.position`;

export function headOf(row: SqlRow): Head {
  return {
    partition: row['partition_key'] as number,
    epoch: row['epoch'] as number,
    position: row['position'] as number,
    checksum: row['checksum'] as Uint8Array,
    lastEpoch: (row['last_epoch'] as number | null) ?? 0,
  };
}
