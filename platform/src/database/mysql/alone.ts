import { CardumeError } from '../../base/errors.ts';
import { isNoFunction, type SqlDatabase, type SqlSession } from '../../host/sql.ts';

const LOCK_WAIT_S_MAX = 20;
/**
 * A lock's name has 64 characters at most. The first is that of the version before; MySQL 9.7 has no such function any more.
 */
const NAMES = ['MD5(DATABASE())', 'LEFT(SHA2(DATABASE(), 256), 40)'];

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
  return database.session(async (session) => {
    const lock = await locked(session, what);
    if (lock === null)
      throw new CardumeError('storage-failed', `${database.name}: another process is at its ${what}`);
    try {
      return await work(session);
    } finally {
      await session.rows(`SELECT RELEASE_LOCK(${lock})`);
    }
  });
}

/** @returns the lock; null when another process has it */
async function locked(session: SqlSession, what: string): Promise<string | null> {
  for (const name of NAMES) {
    const lock = `CONCAT('cardume-${what}:', ${name})`;
    try {
      const [got = {}] = await session.rows(`SELECT GET_LOCK(${lock}, ${LOCK_WAIT_S_MAX})`);
      // By whatever name: Vitess keeps none that an answer is given.
      return Object.values(got)[0] === 1 ? lock : null;
    } catch (error) {
      if (!isNoFunction(error)) throw error;
    }
  }
  return null;
}
