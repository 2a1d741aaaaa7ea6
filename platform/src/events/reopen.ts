/**
 * The way back after a writer thread ended in the middle of a batch. The entries of the opener's epoch tell what of the
 * batch stands: only it writes in its epoch, and it has one batch under way. A head whose epoch has grown since belongs
 * to another host, unless it names this opener: then an earlier way back was cut off half way.
 */
import { assert } from '../base/assert.ts';
import type { Host } from '../host/host.ts';
import { type Engine, engineOver } from './engine.ts';
import type { PartitionKey } from './log.ts';
import { prepareSchema } from './schema.ts';
import { endOf, spotOf } from './spot.ts';
import { transaction } from './transaction.ts';

/** What an opener that lost its writer thread knows of a partition. */
export interface Lost {
  readonly partition: PartitionKey;
  readonly epoch: number;
  /** Where the head stood before the batch whose outcome is unknown. */
  readonly position: number;
}

export interface Recovery {
  /** The last batch that was sent. */
  readonly batch: number;
  readonly opener: number;
  readonly lost: readonly Lost[];
}

/** What became of a lost partition. */
export interface Recovered {
  readonly partition: PartitionKey;
  /** Entries of the batch that stand. */
  readonly entries: number;
  /** Another host has opened it meanwhile. */
  readonly fenced: boolean;
}

/**
 * Opens the file again after its writer thread ended in the middle of a batch: finds out what of the batch stands,
 * and raises the epoch of those partitions that no other host has opened since.
 */
export function reopenEngine(
  host: Host,
  path: string,
  recovery: Recovery,
): { readonly engine: Engine; readonly recovered: Recovered[] } {
  const database = host.disk.database(path);
  try {
    prepareSchema(path, database);
    const headOf = database.prepare('SELECT epoch, position, batch FROM heads WHERE partition = ?');
    const ours = database.prepare(
      'SELECT count(*) AS entries FROM entries WHERE spot > ? AND spot < ? AND epoch = ?',
    );
    const raise = database.prepare('UPDATE heads SET epoch = epoch + 1, batch = ? WHERE partition = ?');
    const recovered = transaction(database, () =>
      recovery.lost.map(({ partition, epoch, position }): Recovered => {
        const head = headOf.get(partition) as { epoch: number; position: number; batch: number };
        const row = ours.get(spotOf(partition, position), endOf(partition), epoch) as { entries: number };
        const { entries } = row;
        const isOurs = head.epoch === epoch || head.batch === -recovery.opener;
        if (!isOurs) return { partition, entries, fenced: true };
        assert(
          entries === 0 || head.batch === recovery.batch || head.batch < 0,
          'only the batch under way can have moved the head',
        );
        raise.run(-recovery.opener, partition);
        return { partition, entries, fenced: false };
      }),
    );
    const hosted = recovered.filter((one) => !one.fenced).map((one) => one.partition);
    return { engine: engineOver(host, database, hosted), recovered };
  } catch (error) {
    database.close();
    throw error;
  }
}
