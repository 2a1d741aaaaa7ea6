import { Worker } from 'node:worker_threads';
import type { Thread, Threads } from './threads.ts';

const ENTRY = new URL('./real-thread-entry.ts', import.meta.url);

export function realThreads(): Threads {
  return {
    spawn(module, name, init, youngMiBMax = 16): Thread {
      const worker = new Worker(ENTRY, {
        name,
        workerData: { module: module.href, init },
        resourceLimits: { maxYoungGenerationSizeMb: youngMiBMax },
      });
      let failure: Error | null = null;
      worker.once('error', (error) => {
        failure = error as Error;
      });
      return {
        post: (message) => worker.postMessage(message),
        onMessage: (listener) => void worker.on('message', listener as (message: unknown) => void),
        onExit: (listener) => void worker.once('exit', () => listener(failure)),
        async stop() {
          await worker.terminate();
        },
      };
    },
    load: (module) => import(module) as Promise<Record<string, unknown>>,
  };
}
