import type { Driver, LogPlace } from './engine.ts';
import { sqlite } from './sqlite/sqlite.ts';

/** The engine that keeps logs in such a place. */
export function driverOf(place: LogPlace): Driver {
  if ('path' in place) return sqlite;
  throw new Error('not yet');
}
