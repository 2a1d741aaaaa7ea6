/** `cardume check-config`: is the topology right, and what do its policies of residency cost? */
import { forfeitsOf } from 'cardume/topology/residency';
import { type Overrides, openConfiguration } from '../configuration.ts';
import type { Shell } from '../shell.ts';

export interface CheckConfigOptions extends Overrides {
  readonly json?: boolean | undefined;
}

/** @returns the exit code @throws Failure that names every fault */
export async function checkConfig(shell: Shell, options: CheckConfigOptions): Promise<number> {
  const { topology, file, dataFolder } = await openConfiguration(shell, options);
  const regions = Object.keys(topology.regions);
  const services = Object.keys(topology.services);
  const forfeits = forfeitsOf(topology);
  if (options.json) {
    const residency = forfeits.map(({ service, bornIn, policy, sentence }) => {
      return { service, born_in: bornIn, ...policy, sentence };
    });
    shell.print(JSON.stringify({ file, data: dataFolder, regions, services, residency }));
    return 0;
  }
  shell.print(
    `${file} is right: regions ${regions.join(', ')}; services ${services.join(', ')}; data in ${dataFolder}.`,
  );
  for (const { sentence } of forfeits) shell.print(sentence);
  return 0;
}
