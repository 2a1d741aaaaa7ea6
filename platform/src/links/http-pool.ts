/**
 * undici's connection pool and nothing else of undici: its entry also loads a web fetch, mocks and caches, 14 MB that
 * nobody here needs (measured with 8.13; it has no narrower public entry). It is loaded when it is first used.
 */
import { createRequire } from 'node:module';
import type { Pool as UndiciPool } from 'undici';

const require = createRequire(import.meta.url);

/** `request` and the like are added by the entry: here there is `dispatch` alone. */
export type HttpPool = Pick<UndiciPool, 'dispatch' | 'destroy'>;

export function openHttpPool(origin: string, options: UndiciPool.Options): HttpPool {
  const Pool = require('undici/lib/dispatcher/pool.js') as typeof UndiciPool;
  return new Pool(origin, options);
}
