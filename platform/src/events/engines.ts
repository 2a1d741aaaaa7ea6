import type { Host } from '../host/host.ts';
import type { Driver, LogPlace } from './engine.ts';
import { mysql } from './mysql/mysql.ts';
import { sqlite } from './sqlite/sqlite.ts';

/** The engine that keeps logs in such a place. */
export async function driverOf({ threads }: Pick<Host, 'threads'>, place: LogPlace): Promise<Driver> {
  if ('path' in place) return sqlite;
  if ('sql' in place) return mysql;
  const { engine } = (await threads.load(place.module)) as unknown as { engine: { readonly log: Driver } };
  return engine.log;
}
