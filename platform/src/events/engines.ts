import { CardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import type { Driver, LogPlace } from './engine.ts';
import { mysql } from './mysql/mysql.ts';
import { sqlite } from './sqlite/sqlite.ts';

/** The engine that keeps logs in such a place. */
export async function driverOf(host: Pick<Host, 'threads'>, place: LogPlace): Promise<Driver> {
  if ('path' in place) return sqlite;
  if ('sql' in place) return mysql;
  return (await engineIn(host, place.module)).log;
}

/**
 * What a module exports as its engine.
 * @throws CardumeError `invalid-input` when there is no such module, or it exports none
 */
export async function engineIn<Engine extends { readonly log: Driver }>(
  { threads }: Pick<Host, 'threads'>,
  module: string,
): Promise<Engine> {
  const { engine } = await threads.load(module).catch((cause: unknown) => {
    const detail = `the engine ${module} cannot be loaded: ${(cause as Error).message}`;
    throw new CardumeError('invalid-input', detail, { cause });
  });
  if (typeof (engine as Engine | undefined)?.log?.open !== 'function')
    throw new CardumeError('invalid-input', `${module} exports no engine: see cqrs/engine.ts`);
  return engine as Engine;
}
