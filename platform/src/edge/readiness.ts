import type { Dispatcher } from 'undici';
import type { HttpPool } from '../links/http-pool.ts';
import { READY_PATH, WRITES_HEADER } from '../links/readiness.ts';

/** `reads`: it is there, and holds no lease to write. `no`: it is not ready, or nobody answers in time. */
export type Readiness = 'writes' | 'reads' | 'no';

/** What a region says of itself. */
export function readinessOf(pool: HttpPool, signal: AbortSignal): Promise<Readiness> {
  return new Promise((resolve) => {
    let found: Readiness = 'no';
    const abort = (controller: Dispatcher.DispatchController): void =>
      controller.abort(new Error('too late'));
    signal.addEventListener('abort', () => resolve('no'), { once: true });
    pool.dispatch(
      { method: 'GET', path: READY_PATH },
      {
        onRequestStart(controller) {
          if (signal.aborted) abort(controller);
          else signal.addEventListener('abort', () => abort(controller), { once: true });
        },
        onResponseStart(_, code, headers) {
          if (code === 200) found = headers[WRITES_HEADER] === 'no' ? 'reads' : 'writes';
        },
        onResponseData() {},
        onResponseEnd: () => resolve(found),
        onResponseError: () => resolve('no'),
      },
    );
  });
}
