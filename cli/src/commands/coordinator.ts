/** `cardume coordinator`: what the regions of this machine agree on, in a process of its own. */
import { type Overrides, openConfiguration } from '../configuration.ts';
import { Failure, WRONG_USE } from '../failure.ts';
import { openSecrets } from '../secrets.ts';
import type { Shell } from '../shell.ts';
import { supervised } from '../supervised.ts';

/** @returns the exit code */
export async function coordinator(shell: Shell, options: Overrides): Promise<number> {
  const { host } = shell;
  let running: { close(): Promise<void> } | null = null;
  const supervisor = supervised(shell, () => running !== null);
  const { topology, dataFolder } = await openConfiguration(shell, options);
  const wanted = topology.coordinator;
  if (wanted?.engine !== 'embedded')
    throw new Failure(
      wanted === undefined ? 'The topology has no coordinator.' : `Its coordinator is ${wanted.engine}.`,
      "This command runs the one that is built in: coordinator: { engine: 'embedded', … }.",
      WRONG_USE,
    );
  try {
    const secrets = await openSecrets(host, dataFolder);
    const [{ startCoordinator }, { COORDINATOR_PEER }, { openLog }] = await Promise.all([
      import('cardume/discovery/embedded/server'),
      import('cardume/topology/engines'),
      import('cardume/telemetry/log'),
    ]);
    const log = openLog(host, { region: 'coordinator' });
    running = await startCoordinator(host, {
      name: COORDINATOR_PEER,
      address: { host: wanted.host, port: wanted.port },
      path: `${dataFolder}/coordinator/coordinator.db`,
      secret: secrets.clusterSecret,
      report: (error) => log.error('the coordinator met a failure', { error }),
    });
  } catch (error) {
    return supervisor.failed(error, 'The coordinator');
  }
  supervisor.ready(`${wanted.host}:${wanted.port}`);
  await supervisor.stop;
  await running.close();
  return 0;
}
