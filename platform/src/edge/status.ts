import type { Dispatcher } from 'undici';
import type { HttpPool } from '../links/http-pool.ts';

/** The status of a GET; null when there is none in time. */
export function statusOf(pool: HttpPool, path: string, signal: AbortSignal): Promise<number | null> {
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
