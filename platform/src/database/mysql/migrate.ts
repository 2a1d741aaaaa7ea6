/**
 * Schemas of a server's databases. One process at a time brings a database on, by a connection that has the time. A definition
 * commits by itself there, so a step may be cut off in the middle and is then carried out again: what is there already, or gone
 * already, is right. When nothing is missing, no definition is carried out, so the user needs no right to them. See ../schema.ts.
 */
import type { Clock } from '../../host/host.ts';
import { isDefined, type SqlDatabase, type SqlSession } from '../../host/sql.ts';
import {
  checkReadable,
  checkStanding,
  expandedRow,
  type Found,
  missingSteps,
  neededBy,
  type Schema,
  standingOf,
} from '../schema.ts';
import { again } from './again.ts';
import { alone } from './alone.ts';

/** An index of a large table takes its time. */
const PATIENT = { connectionsMax: 1, statementTimeoutMs: 600_000 };

/**
 * Brings a database to this program's schema. Any number of processes may do so at once.
 * @throws CardumeError `storage-failed` when this program must not open the database
 */
export async function migrate(clock: Clock, database: SqlDatabase, schema: Schema): Promise<void> {
  const { needs, expanded } = standingOf(await foundIn(database, schema));
  const { steps, oldest = 0 } = schema;
  if (needs <= steps.length && expanded >= Math.max(oldest, steps.length)) return;
  const patient = database.another(PATIENT);
  try {
    // Whatever was found before, another process may be changing: what is wrong behind the lock is wrong.
    await again(clock, () => alone(patient, 'schema', (session) => bringOn(session, database.name, schema)));
  } finally {
    await patient.close();
  }
}

async function bringOn(session: SqlSession, name: string, schema: Schema): Promise<void> {
  const standing = standingOf(await foundIn(session, schema));
  checkStanding(name, schema, standing);
  const steps = missingSteps(schema, standing);
  if (steps.length === 0) return;
  const { table, row } = schema;
  const expanded = expandedRow(schema);
  await define(
    session,
    `CREATE TABLE IF NOT EXISTS ${table} (name VARCHAR(60) NOT NULL PRIMARY KEY, value BIGINT NOT NULL)`,
  );
  // New until it has all: half of one would look like one of a version that nobody knows any more.
  if (standing.isNew) await raise(session, table, [[expanded, 0]]);
  for (const { statements, needs, number } of steps) {
    // First, so that whoever must not open what this step leaves does not open half of it either.
    if (!standing.isNew) await raise(session, table, [[row, needs]]);
    for (const statement of statements) await define(session, statement);
    if (!standing.isNew) await raise(session, table, [[expanded, number]]);
  }
  await raise(session, table, [
    [row, neededBy(schema)],
    [expanded, schema.steps.length],
  ]);
}

/** For who only reads. @throws CardumeError `storage-failed` when there is nothing to read, or it must not be read */
export async function checkSchema(database: SqlDatabase, schema: Schema): Promise<void> {
  checkReadable(database.name, schema, await foundIn(database, schema));
}

/** The version that a program must know to open the database from now on. In the session's transaction. */
export function raiseNeeds(session: SqlSession, { table, row }: Schema, needs: number): Promise<void> {
  return raise(session, table, [[row, needs]]);
}

/** Makes numbers at least so large, all at once. In the session's transaction. */
export async function raise(
  session: SqlSession,
  table: string,
  numbers: readonly (readonly [name: string, to: number])[],
): Promise<void> {
  await session.run(
    `INSERT INTO ${table} (name, value) VALUES ${numbers.map(() => '(?, ?)').join(', ')}
      ON DUPLICATE KEY UPDATE value = GREATEST(value, VALUES(value))`,
    numbers.flat(),
  );
}

export async function foundIn(session: SqlSession, schema: Schema): Promise<Found> {
  const { table, row, sign } = schema;
  const tables = await session.rows(
    'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (?, ?)',
    [table, sign],
  );
  const has = (name: string): boolean => tables.some((one) => String(one['name']) === name);
  const hasSign = has(sign);
  if (!has(table)) return { expanded: null, needs: null, hasSign };
  const numbers = await session.rows(`SELECT name, value FROM ${table} WHERE name IN (?, ?)`, [
    row,
    expandedRow(schema),
  ]);
  const number = (name: string): number | null =>
    (numbers.find((one) => one['name'] === name)?.['value'] as number | undefined) ?? null;
  return { expanded: number(expandedRow(schema)), needs: number(row), hasSign };
}

async function define(session: SqlSession, statement: string): Promise<void> {
  try {
    await session.exec(statement);
  } catch (error) {
    if (!isDefined(error)) throw error;
  }
}
