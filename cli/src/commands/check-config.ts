/** `cardume check-config`: is the topology right? */
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
  if (options.json) shell.print(JSON.stringify({ file, data: dataFolder, regions, services }));
  else
    shell.print(
      `${file} is right: regions ${regions.join(', ')}; services ${services.join(', ')}; data in ${dataFolder}.`,
    );
  return 0;
}
