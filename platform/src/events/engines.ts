import type { Driver, LogPlace } from './engine.ts';
import { mysql } from './mysql/mysql.ts';
import { sqlite } from './sqlite/sqlite.ts';

/** The engine that keeps logs in such a place. */
export function driverOf(place: LogPlace): Driver {
  return 'path' in place ? sqlite : mysql;
}
