/** The log in a file: nothing to install, one writer, readers beside it. */
import type { Driver, LogPlace } from '../engine.ts';
import { wholeReader } from './archive.ts';
import { openEngine } from './engine.ts';
import { inspect } from './inspect.ts';
import { openReader } from './reader.ts';
import { reopenEngine } from './reopen.ts';

const pathOf = (place: LogPlace): string => (place as { readonly path: string }).path;

export const sqlite: Driver = {
  async open(host, place, start, mayCommit) {
    return 'recovery' in start
      ? reopenEngine(host, pathOf(place), start.recovery, mayCommit)
      : openEngine(host, pathOf(place), start, mayCommit);
  },
  async openReader(host, place) {
    const database = host.disk.database(pathOf(place), { readOnly: true });
    const reader = wholeReader(host, pathOf(place), database, openReader(database));
    return { ...reader, close: async () => database.close() };
  },
  inspect: (host, place, look) => inspect(host, pathOf(place), look),
};
