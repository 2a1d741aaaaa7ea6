/** A disk that changes statements on their way to the database: how mutants of an engine break one rule each. */
import type { Disk } from '../host/disk.ts';

export type StatementChange = readonly [from: string | RegExp, to: string];

export function changedDisk(disk: Disk, changes: readonly StatementChange[]): Disk {
  const change = (sql: string): string => changes.reduce((text, [from, to]) => text.replace(from, to), sql);
  return {
    ...disk,
    database(path, options) {
      const database = disk.database(path, options);
      return {
        exec: (sql) => database.exec(change(sql)),
        prepare: (sql) => database.prepare(change(sql)),
        close: database.close,
      };
    },
  };
}
