/**
 * `cardume instance`: one region in this process. The supervisor starts it and speaks with it over a channel; in a
 * container it runs alone and listens to signals.
 */
import { isCardumeError } from 'cardume/base';
import type { Instance } from 'cardume/instance';
import { type Overrides, openConfiguration } from '../configuration.ts';
import { FAILED, Failure } from '../failure.ts';
import { openSecrets } from '../secrets.ts';
import type { Shell } from '../shell.ts';

export interface InstanceCommandOptions extends Overrides {
  readonly region: string;
}

/** Without its supervisor it only finishes what is under way, so that the next start finds the ports free. */
const LOST_DRAIN_MS = 1_000;

/** @returns the exit code */
export async function instance(shell: Shell, options: InstanceCommandOptions): Promise<number> {
  const { host, supervision } = shell;
  let running: Instance | null = null;
  // Set up before anything is loaded: a supervisor may be gone at any time.
  const stop = new Promise<number | 'drain'>((resolve) => {
    supervision?.onLost(() => resolve(LOST_DRAIN_MS));
    supervision?.onOrder(() => resolve('drain'));
    // A terminal sends Ctrl-C to this process too; under a supervisor, its order counts.
    shell.onSignal((signal) => {
      if (supervision === null || signal === 'SIGTERM') resolve('drain');
    });
  });
  void stop.then(() => {
    if (running === null) shell.exit(0); // still starting: nothing was acknowledged yet
  });

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
    const known = knownFailure(error);
    if (known === null) throw error;
    if (supervision === null) throw new Failure(`Region ${options.region} cannot start: ${known.sentence}`);
    supervision.report({ kind: 'failed', ...known });
    await host.clock.sleep(50); // for the report to leave
    return FAILED;
  }
  supervision?.report({ kind: 'ready', url: `http://${running.address.host}:${running.address.port}` });

  const how = await stop;
  const graceMs = how === 'drain' ? topology.bounds.drainTimeoutMs : LOST_DRAIN_MS;
  await Promise.race([running.drain(), host.clock.sleep(graceMs)]);
  return 0;
}

/** What an operator can act on; anything else is a bug and shows its stack. */
function knownFailure(error: unknown): { readonly sentence: string; readonly lasting: boolean } | null {
  if (error instanceof Failure) return { sentence: `${error.message} ${error.next}`.trim(), lasting: true };
  if (isCardumeError(error, 'storage-failed')) {
    const next = 'Restore the file from a backup, or move the folder of the region away to start it empty.';
    return { sentence: `${error.message}. ${next}`, lasting: true };
  }
  if (isCardumeError(error)) return { sentence: error.message, lasting: error.code === 'invalid-input' };
  const { code, message } = error as { code?: string; message: string };
  return code === 'EADDRINUSE' || code === 'EACCES' ? { sentence: message, lasting: false } : null;
}
