/** Opens the file again after its writer thread ended in the middle of a batch: see `Recovery`. */
import { assert } from '../../base/assert.ts';
import { transaction } from '../../database/sqlite/transaction.ts';
import type { Host } from '../../host/host.ts';
import type { Opening, Recovered, Recovery } from '../engine.ts';
import { engineOver } from './engine.ts';
import { prepareSchema } from './schema.ts';
import { endOf, spotOf } from './spot.ts';

export function reopenEngine(host: Host, path: string, recovery: Recovery, mayCommit?: () => void): Opening {
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
    const { opener, copies } = recovery;
    const engine = engineOver(host, path, database, { partitions: hosted, opener, copies }, mayCommit);
    return { engine, recovered, strays: [] };
  } catch (error) {
    database.close();
    throw error;
  }
}
