/** Schemas of SQLite's files: all steps that a file has not had are one transaction. See ../schema.ts. */
import type { Database } from '../../host/disk.ts';
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
import { transaction } from './transaction.ts';

/**
 * Brings a file to this program's schema. Any number of processes may do so at once.
 * @throws CardumeError `storage-failed` when this program must not open the file
 */
export function migrate(database: Database, path: string, schema: Schema): void {
  if (missing(database, path, schema).length === 0) return;
  transaction(database, () => {
    database.exec(
      `CREATE TABLE IF NOT EXISTS ${schema.table} (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID`,
    );
    // Looked up again: somebody else may have been faster.
    const steps = missing(database, path, schema);
    for (const { statements } of steps) for (const statement of statements) database.exec(statement);
    if (steps.length === 0) return;
    raiseNeeds(database, schema, neededBy(schema));
    raise(database, schema.table, expandedRow(schema), schema.steps.length);
  });
}

/** For who only reads. @throws CardumeError `storage-failed` when there is nothing to read, or it must not be read */
export function checkSchema(database: Database, path: string, schema: Schema): void {
  checkReadable(path, schema, foundIn(database, schema));
}

/** The version that a program must know to open the file from now on. In the caller's transaction. */
export function raiseNeeds(database: Database, { table, row }: Schema, needs: number): void {
  raise(database, table, row, needs);
}

/** Makes a number at least so large. In the caller's transaction. */
export function raise(database: Database, table: string, name: string, to: number): void {
  database
    .prepare(
      `INSERT INTO ${table} (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)`,
    )
    .run(name, to);
}

function missing(database: Database, path: string, schema: Schema): ReturnType<typeof missingSteps> {
  const standing = standingOf(foundIn(database, schema));
  checkStanding(path, schema, standing);
  return missingSteps(schema, standing);
}

export function foundIn(database: Database, schema: Schema): Found {
  const { table, row, sign } = schema;
  const tables = database.prepare('SELECT name FROM sqlite_schema WHERE name IN (?, ?)').all(table, sign);
  const has = (name: string): boolean => tables.some((one) => one['name'] === name);
  const hasSign = has(sign);
  if (!has(table)) return { expanded: null, needs: null, hasSign };
  const numbers = database
    .prepare(`SELECT name, value FROM ${table} WHERE name IN (?, ?)`)
    .all(row, expandedRow(schema));
  const number = (name: string): number | null =>
    (numbers.find((one) => one['name'] === name)?.['value'] as number | undefined) ?? null;
  return { expanded: number(expandedRow(schema)), needs: number(row), hasSign };
}
