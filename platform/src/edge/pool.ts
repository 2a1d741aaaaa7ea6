/**
 * undici's connection pool and nothing else of undici: its entry also loads a web fetch, mocks and caches, 14 MB that
 * an edge does not need (measured with 8.13; it has no narrower public entry).
 */
import { createRequire } from 'node:module';
import type { Dispatcher, Pool as UndiciPool } from 'undici';

const require = createRequire(import.meta.url);
const Pool = require('undici/lib/dispatcher/pool.js') as typeof UndiciPool;

/** `request` and the like are added by the entry: here there is `dispatch` alone. */
export type ConnectionPool = Pick<UndiciPool, 'dispatch' | 'destroy'>;

export function openPool(origin: string, options: UndiciPool.Options): ConnectionPool {
  return new Pool(origin, options);
}

/** The status of a GET; null when there is none in time. */
export function statusOf(pool: ConnectionPool, path: string, signal: AbortSignal): Promise<number | null> {
  return new Promise((resolve) => {
    let status: number | null = null;
    const abort = (controller: Dispatcher.DispatchController): void =>
      controller.abort(new Error('too late'));
    signal.addEventListener('abort', () => resolve(null), { once: true });
    pool.dispatch(
      { method: 'GET', path },
      {
        onRequestStart(controller) {
          if (signal.aborted) abort(controller);
          else signal.addEventListener('abort', () => abort(controller), { once: true });
        },
        onResponseStart(_, code) {
          status = code;
        },
        onResponseData() {},
        onResponseEnd: () => resolve(status),
        onResponseError: () => resolve(null),
      },
    );
  });
}
