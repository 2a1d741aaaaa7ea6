/** The topology that a command works with: the file, then what the command line changes. */
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isCardumeError } from 'cardume/base';
import type { Topology } from 'cardume/topology';
import { parseTopology } from 'cardume/topology/validate';
import { Failure, WRONG_USE } from './failure.ts';
import type { Shell } from './shell.ts';

const FILE = 'cardume.config.ts';
/** Where this house keeps its own. */
const HOUSE = fileURLToPath(new URL('../../', import.meta.url));

export interface Overrides {
  /** Path of the topology's file, relative to the working folder. */
  readonly config?: string | undefined;
  /** Port of the edge. The ports of the regions keep their distance to it. */
  readonly port?: number | undefined;
  /** Folder of the data, relative to the working folder. */
  readonly data?: string | undefined;
}

export interface Configuration {
  readonly topology: Topology;
  /** Absolute. */
  readonly file: string;
  /** Absolute. */
  readonly dataFolder: string;
}

/** @throws Failure that names every fault of the file */
export async function openConfiguration(shell: Shell, overrides: Overrides): Promise<Configuration> {
  const file = await findFile(shell, overrides.config);
  const shown = file.startsWith(`${shell.folder}/`) ? file.slice(shell.folder.length + 1) : file;
  const written = await load(file, shown);
  const topology = overrides.port === undefined ? written : moved(written, overrides.port);
  const dataFolder =
    overrides.data === undefined
      ? resolve(dirname(file), topology.data)
      : resolve(shell.folder, overrides.data);
  return { topology, file, dataFolder };
}

async function findFile(shell: Shell, named: string | undefined): Promise<string> {
  if (named !== undefined) {
    const file = resolve(shell.folder, named);
    if ((await shell.host.disk.read(file)) !== null) return file;
    throw new Failure(`There is no file ${file}.`, 'Name the topology with --config FILE.', WRONG_USE);
  }
  for (const folder of [shell.folder, HOUSE]) {
    const file = resolve(folder, FILE);
    if ((await shell.host.disk.read(file)) !== null) return file;
  }
  throw new Failure(
    `There is no ${FILE} in ${shell.folder}.`,
    'Name the topology with --config FILE.',
    WRONG_USE,
  );
}

async function load(file: string, shown: string): Promise<Topology> {
  try {
    const module = (await import(pathToFileURL(file).href)) as { default?: unknown };
    return parseTopology(module.default);
  } catch (error) {
    if (isCardumeError(error, 'invalid-input')) {
      throw new Failure(
        `${shown}: ${error.message}`,
        'Correct them; `cardume check-config` checks again.',
        WRONG_USE,
      );
    }
    const reason = (error as Error).message.split('\n')[0];
    throw new Failure(`${shown} could not be read: ${reason}`, 'Correct it, then try again.', WRONG_USE);
  }
}

/** All ports moved together, so that a second Cardume runs beside the first. */
export function moved(topology: Topology, port: number): Topology {
  const by = port - topology.edge.port;
  const regions = Object.entries(topology.regions).map(([name, region]) => [
    name,
    { ...region, port: region.port + by, peerPort: region.peerPort + by },
  ]);
  const { dns } = topology.edge;
  const edge = {
    ...topology.edge,
    port,
    ...(dns === undefined ? {} : { dns: { ...dns, port: dns.port + by } }),
  };
  const { coordinator } = topology;
  const after = {
    ...topology,
    edge,
    regions: Object.fromEntries(regions),
    ...(coordinator?.engine === 'embedded'
      ? { coordinator: { ...coordinator, port: coordinator.port + by } }
      : {}),
  };
  try {
    return parseTopology(after);
  } catch (error) {
    if (!isCardumeError(error, 'invalid-input')) throw error;
    const next = 'The ports of the regions move along with it: choose a port between 1024 and 60000.';
    throw new Failure(`Port ${port} leaves no room for the ports of the regions.`, next, WRONG_USE);
  }
}
