/** Schemas of SQLite's files: all steps that a file has not had are one transaction. See ../schema.ts. */
import type { Database } from '../../host/disk.ts';
import { checkStanding, expandedRow, missingSteps, type Schema, type Standing } from '../schema.ts';
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
    for (const { statements, needs = 1, number } of missing(database, path, schema)) {
      for (const statement of statements) database.exec(statement);
      raise(database, schema.table, schema.row, needs);
      raise(database, schema.table, expandedRow(schema), number);
    }
  });
}

/** For who only reads. @throws CardumeError `storage-failed` when this program must not open the file */
export function checkSchema(database: Database, path: string, schema: Schema): void {
  checkStanding(path, schema, standingOf(database, schema));
}

/** The version that a program must know to open the file from now on. In the caller's transaction. */
export function raiseNeeds(database: Database, { table, row }: Schema, needs: number): void {
  raise(database, table, row, needs);
}

/** A number that a schema's table remembers. */
export function numberIn(database: Database, table: string, name: string): number | null {
  const row = database.prepare(`SELECT value FROM ${table} WHERE name = ?`).get(name);
  return (row?.['value'] as number | undefined) ?? null;
}

function missing(database: Database, path: string, schema: Schema): ReturnType<typeof missingSteps> {
  const standing = standingOf(database, schema);
  checkStanding(path, schema, standing);
  return missingSteps(schema, standing);
}

function standingOf(database: Database, schema: Schema): Standing {
  const { table, row } = schema;
  const known = database.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(table);
  if (known === undefined) return { expanded: null, needs: null };
  return { expanded: numberIn(database, table, expandedRow(schema)), needs: numberIn(database, table, row) };
}

/** Makes a number at least so large. In the caller's transaction. */
export function raise(database: Database, table: string, name: string, to: number): void {
  database
    .prepare(
      `INSERT INTO ${table} VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)`,
    )
    .run(name, to);
}
