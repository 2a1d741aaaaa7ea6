/** `cardume start`: everything on this machine. */
import { join, resolve } from 'node:path';
import { type Configuration, type Overrides, openConfiguration } from '../configuration.ts';
import { Failure, WRONG_USE } from '../failure.ts';
import { openSecrets } from '../secrets.ts';
import type { Shell } from '../shell.ts';
import { banner } from '../supervisor/banner.ts';
import { checkPorts, claimFolder } from '../supervisor/claims.ts';
import { seedDemo } from '../supervisor/demo.ts';
import { ENTRY, NODE_FLAGS } from '../supervisor/entry.ts';
import { supervise } from '../supervisor/supervisor.ts';
import { warmUp } from '../supervisor/warmth.ts';

export interface StartOptions extends Overrides {
  /** Regions to run here; all when left out. */
  readonly regions?: readonly string[] | undefined;
  readonly json?: boolean | undefined;
  /** Make the demonstration catalogue at the first start. */
  readonly demo: boolean;
}

/** @returns the exit code */
export async function start(shell: Shell, options: StartOptions): Promise<number> {
  const configuration = await openConfiguration(shell, options);
  const { topology, dataFolder } = configuration;
  const regions = chosen(configuration, options.regions);
  const release = await claimFolder(shell.host, dataFolder);
  try {
    await checkPorts(shell.host, topology, regions);
    const secrets = await openSecrets(shell.host, dataFolder);
    const cache = shell.host.env.get('NODE_COMPILE_CACHE') ?? join(dataFolder, 'compile-cache');
    const environment = { NODE_COMPILE_CACHE: resolve(shell.folder, cache) };
    await warmUp(shell.host, environment.NODE_COMPILE_CACHE, {
      command: [ENTRY, 'warm', '--config', configuration.file],
      environment,
    });
    const place = [
      '--config',
      configuration.file,
      '--data',
      dataFolder,
      '--port',
      String(topology.edge.port),
    ];
    return await supervise({
      shell,
      topology,
      regions,
      json: options.json ?? false,
      environment,
      command: (region) => [...NODE_FLAGS, ENTRY, 'instance', '--region', region, ...place],
      coordinator: topology.coordinator?.engine === 'embedded' ? [ENTRY, 'coordinator', ...place] : null,
      async onReady(edge, log) {
        const url = `http://${edge.address.host}:${edge.address.port}`;
        const wantsDemo = options.demo && regions.length === Object.keys(topology.regions).length;
        const staffToken = async (): Promise<string> => {
          const { issueToken } = await import('../token.ts'); // 10 MB, at the first start only
          return issueToken(shell.host, topology, secrets, { id: 'operator', role: 'staff' }).token;
        };
        const demo = wantsDemo
          ? await seedDemo({ host: shell.host, url, staffToken, regions, dataFolder }).catch(
              (error: unknown) => {
                if (!(error instanceof Failure)) throw error;
                log.warn(error.message); // the shop runs all the same, empty
                return null;
              },
            )
          : null;
        if (options.json) log.info('all regions are ready', { url });
        else shell.print(banner({ url, topology, regions, dataFolder, demo }));
      },
    });
  } finally {
    release();
  }
}

function chosen({ topology }: Configuration, names: readonly string[] | undefined): readonly string[] {
  const known = Object.keys(topology.regions);
  const unknown = names?.find((name) => !known.includes(name));
  if (unknown === undefined) return names ?? known;
  throw new Failure(
    `There is no region '${unknown}' in the topology.`,
    `Regions are ${known.join(', ')}.`,
    WRONG_USE,
  );
}
