import { again } from '../../database/mysql/again.ts';
import { insertRows } from '../../database/mysql/insert.ts';
import type { SqlValue } from '../../host/disk.ts';
import type { Clock } from '../../host/host.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';
import { checkReadBound } from '../engine.ts';
import type { Entry } from '../log.ts';
import { checkSettled, type Decision, type Quarantine, type Quarantined } from '../quarantine.ts';
import { decodeToken, encodeToken } from '../token.ts';
import { bytesOf, COLUMNS, entryOf, textOf } from './reader.ts';

const SETTLED_A_STATEMENT_MAX = 200;

export function quarantineOn(clock: Clock, database: SqlDatabase): Quarantine {
  return {
    async list(after, entriesMax) {
      checkReadBound(entriesMax);
      const { partition, epoch, position } = after === null ? BEGINNING : decodeToken(after);
      const rows = await again(clock, () =>
        database.rows(
          `SELECT ${COLUMNS}, cut_ms, decided, decided_by, decided_ms FROM log_quarantine
            WHERE partition_key > ? OR (partition_key = ? AND (epoch > ? OR (epoch = ? AND position > ?)))
            ORDER BY partition_key, epoch, position LIMIT ?`,
          [partition, partition, epoch, epoch, position, BigInt(entriesMax)],
        ),
      );
      return rows.map((row): Quarantined => {
        const entry = entryOf(row);
        const settled =
          row['decided'] === null
            ? null
            : {
                decided: textOf(row['decided']) as Decision['decided'],
                by: textOf(row['decided_by']),
                atMs: row['decided_ms'] as number,
              };
        return { id: encodeToken(entry), entry, cutMs: row['cut_ms'] as number, settled };
      });
    },
    async settle(ids, decision) {
      checkSettled(ids, decision);
      const { decided, by } = decision;
      let settled = 0;
      // Statements stand by themselves: after a throw the caller asks again.
      for (let i = 0; i < ids.length; i += SETTLED_A_STATEMENT_MAX) {
        const some = ids.slice(i, i + SETTLED_A_STATEMENT_MAX).map(decodeToken);
        const any = some.map(() => '(partition_key = ? AND epoch = ? AND position = ?)').join(' OR ');
        const { changes } = await again(clock, () =>
          database.run(
            `UPDATE log_quarantine SET decided = ?, decided_by = ?, decided_ms = ? WHERE decided IS NULL AND (${any})`,
            [
              bytesOf(decided),
              bytesOf(by),
              clock.nowMs(),
              ...some.flatMap(({ partition, epoch, position }) => [partition, epoch, position]),
            ],
          ),
        );
        settled += changes;
      }
      return settled;
    },
  };
}

/** Before all ids. */
const BEGINNING = { partition: 0, epoch: 0, position: 0 };
const CUT_COLUMNS = [...COLUMNS.split(', '), 'cut_ms'];

/** What a cut writes, in its transaction. What was cut before, and came again, stands there already. */
export async function quarantine(
  clock: Clock,
  session: SqlSession,
  entries: readonly Entry[],
): Promise<void> {
  const cutMs = clock.nowMs();
  const rows = entries.map((entry): SqlValue[] => {
    const { partition, position, epoch, stream, version, type, data, meta, key, atMs, checksum } = entry;
    const answerKey = key === null ? null : bytesOf(key);
    return [
      partition,
      position,
      epoch,
      bytesOf(stream),
      version,
      type,
      data,
      meta,
      answerKey,
      atMs,
      checksum,
      cutMs,
    ];
  });
  await insertRows(session, 'log_quarantine', CUT_COLUMNS, rows, 'ON DUPLICATE KEY UPDATE cut_ms = cut_ms');
}
