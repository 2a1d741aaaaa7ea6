/** First module of every worker thread: gives the real host and the port to the module it was spawned for. */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { realHost } from './real.ts';
import { collectAfterStart } from './real-garbage.ts';
import type { ThreadMain } from './threads.ts';

assert(parentPort !== null, 'this module runs in a worker thread');
const port = parentPort;
const { module, init } = workerData as { module: string; init: never };
collectAfterStart();
const { serve } = (await import(module)) as { serve: ThreadMain };
await serve(
  realHost(),
  {
    post: (message) => port.postMessage(message),
    onMessage: (listener) => void port.on('message', listener as (message: unknown) => void),
  },
  init,
);
