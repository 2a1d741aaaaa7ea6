/** SQLite through `node:sqlite`, its failures told as ours. */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { CardumeError } from '../base/errors.ts';
import type { Database, DatabaseOptions, SqlRow, SqlValue, Statement } from './disk.ts';

type Bound = Parameters<StatementSync['run']>;

export function openSqlite(path: string, options: DatabaseOptions = {}): Database {
  const { attached = [] } = options;
  const database = guarded(path, () => {
    const opened = new DatabaseSync(path, {
      readOnly: options.readOnly ?? false,
      timeout: options.busyTimeoutMs ?? 5_000,
    });
    try {
      opened.prepare('SELECT count(*) FROM sqlite_schema').get(); // a damaged file is found now, not at the first write
    } catch (error) {
      opened.close();
      throw error;
    }
    return opened;
  });
  attach(database, attached);
  const name = [path, ...attached].join(', '); // SQLite does not tell which of them fails
  return {
    exec: (sql) => guarded(name, () => database.exec(sql)),
    prepare: (sql) =>
      statement(
        name,
        guarded(name, () => database.prepare(sql)),
      ),
    close: () => database.close(),
  };
}

/** What they hold is looked at, as when a file is opened. */
export function attach(
  database: {
    prepare(sql: string): { run(path: string): unknown; get(): unknown };
    close(): void;
  },
  paths: readonly string[],
): void {
  for (const [i, path] of paths.entries()) {
    const schema = `file${i + 1}`;
    try {
      database.prepare(`ATTACH ? AS ${schema}`).run(path);
      database.prepare(`SELECT count(*) FROM ${schema}.sqlite_schema`).get();
    } catch (error) {
      database.close();
      throw translated(path, error);
    }
  }
}

function statement(name: string, prepared: StatementSync): Statement {
  return {
    run(...values) {
      try {
        return prepared.run(...(values as Bound)) as { changes: number };
      } catch (error) {
        throw translated(name, error);
      }
    },
    get(...values) {
      try {
        return prepared.get(...(values as Bound)) as SqlRow | undefined;
      } catch (error) {
        throw translated(name, error);
      }
    },
    all(...values) {
      try {
        return prepared.all(...(values as Bound)) as SqlRow[];
      } catch (error) {
        throw translated(name, error);
      }
    },
    *iterate(...values: SqlValue[]) {
      try {
        yield* prepared.iterate(...(values as Bound)) as unknown as IterableIterator<SqlRow>;
      } catch (error) {
        throw translated(name, error);
      }
    },
    readBigInts() {
      prepared.setReadBigInts(true);
      return this;
    },
  };
}

function guarded<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw translated(name, error);
  }
}

/** SQLite's primary result codes (sqlite.org/rescode.html) as ours; anything else is a bug and stays what it is. */
const CONSTRAINT = 19;
const EXPLAINED: Readonly<Record<number, string>> = {
  5: 'another process holds the lock',
  8: 'the file is read-only',
  10: 'the disk reported an input/output error',
  11: 'the file is damaged',
  13: 'the disk is full',
  14: 'the file cannot be opened',
  26: 'the file is not a database',
};

/** @param error with SQLite's extended result code in `errcode` */
export function translated(name: string, error: unknown): unknown {
  const code = (error as { errcode?: number }).errcode;
  if (code === undefined) return error;
  const primary = code & 0xff;
  if (primary === CONSTRAINT) return new CardumeError('conflict', (error as Error).message, { cause: error });
  const why = EXPLAINED[primary];
  return why === undefined ? error : new CardumeError('storage-failed', `${name}: ${why}`, { cause: error });
}
