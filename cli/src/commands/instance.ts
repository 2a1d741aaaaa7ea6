/**
 * `cardume instance`: one region in this process. The supervisor starts it and speaks with it over a channel; in a
 * container it runs alone and listens to signals.
 */
import type { Instance } from 'cardume/instance';
import { type Overrides, openConfiguration } from '../configuration.ts';
import { openSecrets } from '../secrets.ts';
import type { Shell } from '../shell.ts';
import { supervised } from '../supervised.ts';

export interface InstanceCommandOptions extends Overrides {
  readonly region: string;
}

/** @returns the exit code */
export async function instance(shell: Shell, options: InstanceCommandOptions): Promise<number> {
  const { host } = shell;
  let running: Instance | null = null;
  const supervisor = supervised(shell, () => running !== null);
  const { topology, dataFolder } = await openConfiguration(shell, options);
  try {
    const secrets = await openSecrets(host, dataFolder);
    const [{ startInstance }, { application }] = await Promise.all([
      import('cardume/instance'),
      import('@cardume/shop/shop'),
    ]);
    running = await startInstance({
      host,
      topology,
      application,
      region: options.region,
      dataFolder,
      secrets,
    });
  } catch (error) {
    return supervisor.failed(error, `Region ${options.region}`);
  }
  supervisor.ready(`http://${running.address.host}:${running.address.port}`);

  const graceMs = (await supervisor.stop) ?? topology.bounds.drainTimeoutMs;
  await Promise.race([running.drain(), host.clock.sleep(graceMs)]);
  return 0;
}
