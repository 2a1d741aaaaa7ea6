/**
 * `cardume warm`: loads what a region loads, so that the cache of compiled modules has it, and ends. Before a first start
 * it takes a second, and saves more: three regions would each compile everything, at the same time, and each keep the
 * 30 MB of the compiler.
 */
import { flushCompileCache } from 'node:module';
import { type Overrides, openConfiguration } from '../configuration.ts';
import type { Shell } from '../shell.ts';

/** Modules of threads: nothing imports them. */
const THREADS = ['cardume/events/writer-thread', 'cardume/cqrs/shard-thread', 'cardume/cqrs/reader-thread'];

/** @returns the exit code */
export async function warm(shell: Shell, options: Overrides): Promise<number> {
  await Promise.all([
    openConfiguration(shell, options),
    import('./instance.ts'),
    import('cardume/instance'),
    import('@cardume/shop/shop'),
    ...THREADS.map((module) => import(module)),
    import('cardume/host/real-thread-entry').catch(() => {}), // it is compiled, then refuses to run outside a thread
  ]);
  flushCompileCache();
  return 0;
}
