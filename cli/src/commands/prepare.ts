/** `cardume prepare`: before a new version starts, its read models are built beside those of the one that runs. */
import { isCardumeError } from 'cardume/base';
import type { Prepared } from 'cardume/instance/prepare';
import { type Overrides, openConfiguration } from '../configuration.ts';
import { Failure } from '../failure.ts';
import { type Output, progressOf } from '../progress.ts';
import type { Shell } from '../shell.ts';

export interface PrepareOptions extends Overrides {
  readonly region?: string | undefined;
  readonly json?: boolean | undefined;
}

/** `screen` is where a progress bar can be drawn. */
export type PrepareShell = Shell & { readonly screen?: Output };

/** @returns the exit code */
export async function prepare(shell: PrepareShell, options: PrepareOptions): Promise<number> {
  const { host } = shell;
  const { topology, dataFolder } = await openConfiguration(shell, options);
  const known = Object.keys(topology.regions);
  if (options.region !== undefined && !known.includes(options.region))
    throw new Failure(`There is no region '${options.region}'.`, `There are ${known.join(', ')}.`);
  const regions = options.region === undefined ? known : [options.region];
  const [{ prepareRegion }, { application }] = await Promise.all([
    import('cardume/instance/prepare'),
    import('@cardume/shop/shop'),
  ]);
  const progress = progressOf(shell, options.json);
  const all: Prepared[] = [];
  let started = 0;
  for (const region of regions) {
    try {
      const prepared = await prepareRegion({
        ...{ host, topology, application, dataFolder, region },
        onShard(shard, left) {
          const entries = left.reduce((sum, { entriesLeft }) => sum + entriesLeft, 0);
          if (entries > 0) progress.begin(`${region}/${shard}`, entries);
        },
        onFolded: progress.advance,
      });
      progress.end();
      if (prepared === null) continue;
      started += 1;
      all.push(...prepared);
    } catch (error) {
      progress.end();
      if (!isCardumeError(error)) throw error;
      throw new Failure(`Region ${region} is not prepared: ${error.message}.`, NEXT[error.code] ?? '');
    }
  }
  if (started === 0)
    throw new Failure(`No region was ever started in ${dataFolder}.`, 'Say with --data where the data is.');
  shell.print(options.json === true ? JSON.stringify(all) : textOf(all));
  return 0;
}

const NEXT: Readonly<Record<string, string>> = {
  conflict: 'Mend the projection before this version starts; what runs now was not touched.',
  fenced: 'Another process builds the same: let it end, then run this again.',
};

function textOf(all: readonly Prepared[]): string {
  if (all.length === 0) return 'Nothing is to be built: this version finds its read models as they are.';
  const lines = all.map(
    ({ region, shard, projections, entries }) =>
      `${region}/${shard}: ${projections.join(', ')}, from ${entries.toLocaleString('en')} entries`,
  );
  return [
    'Built beside those in use:',
    ...lines.map((line) => `  ${line}`),
    'This version can start now.',
  ].join('\n');
}
