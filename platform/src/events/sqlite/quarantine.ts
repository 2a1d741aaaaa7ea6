import { transaction } from '../../database/sqlite/transaction.ts';
import type { Database } from '../../host/disk.ts';
import type { Clock } from '../../host/host.ts';
import { checkReadBound } from '../engine.ts';
import type { Entry } from '../log.ts';
import { checkSettled, type Decision, type Quarantine, type Quarantined } from '../quarantine.ts';
import { decodeToken, encodeToken } from '../token.ts';
import { entryOf } from './reader.ts';
import { spotOf } from './spot.ts';

export function quarantineIn(clock: Clock, database: Database): Quarantine {
  const behind = database.prepare(
    `SELECT * FROM quarantine WHERE (partition, epoch, position) > (?, ?, ?)
     ORDER BY partition, epoch, position LIMIT ? + 0`,
  );
  const settle = database.prepare(
    `UPDATE quarantine SET decided = ?, decided_by = ?, decided_ms = ?
     WHERE partition = ? AND epoch = ? AND position = ? AND decided IS NULL`,
  );
  return {
    async list(after, entriesMax) {
      checkReadBound(entriesMax);
      const { partition, epoch, position } = after === null ? BEGINNING : decodeToken(after);
      return behind.all(partition, epoch, position, entriesMax).map((row): Quarantined => {
        const spot = spotOf(row['partition'] as number, row['position'] as number);
        const entry = entryOf({ ...row, spot });
        const decided = row['decided'] as Decision['decided'] | null;
        const settled =
          decided === null
            ? null
            : { decided, by: row['decided_by'] as string, atMs: row['decided_ms'] as number };
        return { id: encodeToken(entry), entry, cutMs: row['cut_ms'] as number, settled };
      });
    },
    async settle(ids, decision) {
      checkSettled(ids, decision);
      const { decided, by } = decision;
      return transaction(database, () => {
        let settled = 0;
        for (const { partition, epoch, position } of ids.map(decodeToken))
          settled += settle.run(decided, by, clock.nowMs(), partition, epoch, position).changes;
        return settled;
      });
    },
  };
}

/** Before all ids. */
const BEGINNING = { partition: 0, epoch: 0, position: 0 };

/** What a cut writes, in its transaction. What was cut before, and came again, stands there already. */
export function quarantining(clock: Clock, database: Database): (entry: Entry) => void {
  const insert = database.prepare(
    `INSERT INTO quarantine
       (partition, epoch, position, stream, version, type, data, meta, key, at_ms, checksum, cut_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
  );
  return ({ partition, epoch, position, stream, version, type, data, meta, key, atMs, checksum }) => {
    const log = [partition, epoch, position, stream, version, type, data, meta, key, atMs, checksum];
    insert.run(...log, clock.nowMs());
  };
}
