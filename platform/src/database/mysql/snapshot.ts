import type { SqlDatabase, SqlSession, SqlWithin } from '../../host/sql.ts';

/** All that is read is of one moment: that of the first read. */
export function inSnapshot<T>(
  database: SqlDatabase,
  read: (session: SqlSession) => Promise<T>,
  within?: SqlWithin,
): Promise<T> {
  return database.session(async (session) => {
    // Of the next transaction alone; Vitess keeps it for the session, so who writes has other connections.
    await session.exec('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await session.exec('START TRANSACTION');
    const seen = await read(session);
    await session.exec('COMMIT');
    return seen;
  }, within);
}
