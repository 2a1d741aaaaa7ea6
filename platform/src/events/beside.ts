/** A log that another process has open, for whoever folds it beside: what is committed now, and what comes. */
import type { Host } from '../host/host.ts';
import { closingReader } from './closing-reader.ts';
import type { LogPlace } from './engine.ts';
import { driverOf } from './engines.ts';
import type { TailSource } from './tail.ts';

export interface SourceBeside extends TailSource {
  close(): Promise<void>;
}

/**
 * Its heads are those of the moment when it was opened. Reads that are under way when it is closed, or come later, are
 * told `draining`.
 * @throws CardumeError `storage-failed` when there is no log
 */
export async function openBesideLog(host: Host, place: LogPlace): Promise<SourceBeside> {
  const driver = await driverOf(host, place);
  const heads = await driver.inspect(host, place, (snapshot) => snapshot.heads());
  const reader = closingReader(await driver.openReader(host, place));
  return { heads: () => [...heads], read: reader.readPartition, close: reader.close };
}
