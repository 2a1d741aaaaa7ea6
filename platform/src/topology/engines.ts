import type { EngineName, Engines } from './topology.ts';

/** Known to every version. */
export const HOUSE_ENGINES: readonly EngineName[] = ['sqlite', 'mysql'];

/** Those that shards may have. */
export const engineNames = ({ mysql, modules = {} }: Engines): readonly EngineName[] => [
  'sqlite',
  ...(mysql === undefined ? [] : ['mysql']),
  ...Object.keys(modules),
];

/** What instances call the embedded coordinator on their links. */
export const COORDINATOR_PEER = 'coordinator';
