/** A log that another process has open, for whoever folds it beside: what is committed now, and what comes. */
import type { Host } from '../host/host.ts';
import type { LogPlace } from './engine.ts';
import { driverOf } from './engines.ts';
import type { TailSource } from './tail.ts';

export interface SourceBeside extends TailSource {
  close(): Promise<void>;
}

/**
 * Its heads are those of the moment when it was opened.
 * @throws CardumeError `storage-failed` when there is no log
 */
export async function openBesideLog(host: Host, place: LogPlace): Promise<SourceBeside> {
  const driver = await driverOf(host, place);
  const heads = await driver.inspect(host, place, (snapshot) => snapshot.heads());
  const reader = await driver.openReader(host, place);
  return { heads: () => [...heads], read: reader.readPartition, close: reader.close };
}
