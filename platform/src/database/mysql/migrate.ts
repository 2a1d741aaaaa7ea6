/**
 * Schemas of a server's databases. A definition commits by itself there, so a step may be cut off in the middle and taken
 * up by another process: each may be carried out twice, and what is there already, or gone already, is right. When nothing
 * is missing, no definition is carried out, so the user needs no right to them. See ../schema.ts.
 */
import { isDefined, type SqlDatabase, type SqlSession } from '../../host/sql.ts';
import { checkStanding, expandedRow, missingSteps, neededBy, type Schema, type Standing } from '../schema.ts';

/**
 * Brings a database to this program's schema. Any number of processes may do so at once.
 * @throws CardumeError `storage-failed` when this program must not open the database
 */
export async function migrate(database: SqlDatabase, schema: Schema): Promise<void> {
  const { table, row } = schema;
  const standing = await standingOf(database, schema);
  checkStanding(database.name, schema, standing);
  const steps = missingSteps(schema, standing);
  if (steps.length === 0) return;
  await define(
    database,
    `CREATE TABLE IF NOT EXISTS ${table} (name VARCHAR(60) NOT NULL PRIMARY KEY, value BIGINT NOT NULL)`,
  );
  // A new database is new until it has all: half of it would look like one of a version that nobody knows any more.
  const isNew = standing.needs === null;
  for (const { statements, needs = 1, number } of steps) {
    // First, so that whoever must not open what this step leaves does not open half of it either.
    if (!isNew) await raise(database, table, row, needs);
    for (const statement of statements) await define(database, statement);
    if (!isNew) await raise(database, table, expandedRow(schema), number);
  }
  if (!isNew) return;
  await raise(database, table, expandedRow(schema), schema.steps.length);
  await raise(database, table, row, neededBy(schema));
}

/** For who only reads. @throws CardumeError `storage-failed` when this program must not open the database */
export async function checkSchema(database: SqlDatabase, schema: Schema): Promise<void> {
  checkStanding(database.name, schema, await standingOf(database, schema));
}

/** The version that a program must know to open the database from now on. In the session's transaction. */
export function raiseNeeds(session: SqlSession, { table, row }: Schema, needs: number): Promise<void> {
  return raise(session, table, row, needs);
}

/** A number that a schema's table remembers. */
export async function numberIn(session: SqlSession, table: string, name: string): Promise<number | null> {
  const [row] = await session.rows(`SELECT value FROM ${table} WHERE name = ?`, [name]);
  return (row?.['value'] as number | undefined) ?? null;
}

async function standingOf(session: SqlSession, schema: Schema): Promise<Standing> {
  const { table, row } = schema;
  const known = await session.rows(
    'SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?',
    [table],
  );
  if (known.length === 0) return { expanded: null, needs: null };
  return {
    expanded: await numberIn(session, table, expandedRow(schema)),
    needs: await numberIn(session, table, row),
  };
}

async function define(session: SqlSession, statement: string): Promise<void> {
  try {
    await session.exec(statement);
  } catch (error) {
    if (!isDefined(error)) throw error;
  }
}

/** Makes a number at least so large. In the session's transaction. */
export async function raise(session: SqlSession, table: string, name: string, to: number): Promise<void> {
  await session.run(
    `INSERT INTO ${table} (name, value) VALUES (?, ?) ON DUPLICATE KEY UPDATE value = GREATEST(value, VALUES(value))`,
    [name, to],
  );
}
