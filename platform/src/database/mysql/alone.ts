import { CardumeError } from '../../base/errors.ts';
import type { SqlDatabase, SqlSession } from '../../host/sql.ts';

const LOCK_WAIT_S_MAX = 20;

/**
 * Work on definitions, by one process at a time: they commit by themselves, so no transaction guards them. The lock ends with
 * the connection.
 * @param what a name of its own for each kind of work
 * @throws CardumeError `storage-failed` when another process is at it for long
 */
export function alone<T>(
  database: SqlDatabase,
  what: string,
  work: (session: SqlSession) => Promise<T>,
): Promise<T> {
  const lock = `CONCAT('cardume-${what}:', MD5(DATABASE()))`;
  return database.session(async (session) => {
    const [got] = await session.rows(`SELECT GET_LOCK(${lock}, ${LOCK_WAIT_S_MAX}) AS got`);
    if (got?.['got'] !== 1)
      throw new CardumeError('storage-failed', `${database.name}: another process is at its ${what}`);
    try {
      return await work(session);
    } finally {
      await session.rows(`SELECT RELEASE_LOCK(${lock})`);
    }
  });
}
