/**
 * An engine as somebody else would write one: a module that exports `engine`. It keeps each shard's files in a folder of the
 * shard's own, where the topology's options say, and lets the house's SQLite do the rest.
 */
import type { PlaceInTopology, PlaceOfModule } from '../events/engine.ts';
import { sqlite } from '../events/sqlite/sqlite.ts';
import type { Host } from '../host/host.ts';
import type { ShardEngine } from './engine.ts';
import { sqliteEngine } from './sqlite/engine.ts';

interface At extends PlaceInTopology {
  readonly options: { readonly folder: string };
}

const folderOf = ({ at }: { readonly at: unknown }): string => {
  const { region, shard, options } = at as At;
  return `${options.folder}/${region}/${shard}`;
};
const filesOf = (place: PlaceOfModule): { readonly base: string } => ({ base: `${folderOf(place)}/shard` });
const logOf = (place: unknown): { readonly path: string } => ({
  path: `${folderOf(place as PlaceOfModule)}/shard.log.db`,
});

export const engine: ShardEngine<PlaceOfModule> = {
  log: {
    async open(host: Host, place, start, mayCommit) {
      await host.disk.makeFolder(folderOf(place as PlaceOfModule));
      return sqlite.open(host, logOf(place), start, mayCommit);
    },
    openReader: (host, place) => sqlite.openReader(host, logOf(place)),
    inspect: (host, place, look) => sqlite.inspect(host, logOf(place), look),
  },
  openStores: (host, place, ...more) => sqliteEngine.openStores(host, filesOf(place), ...more),
  openBeside: (host, place, ...more) => sqliteEngine.openBeside(host, filesOf(place), ...more),
  openReading: (host, place, ...more) => sqliteEngine.openReading(host, filesOf(place), ...more),
  openReplicas: () => [],
};
