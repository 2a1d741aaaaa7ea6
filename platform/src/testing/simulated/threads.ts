/**
 * Threads of a simulated machine: the module is loaded into this process and its `serve` gets a host with a life and
 * random streams of its own; messages are cloned and pass through the kernel, in order. Unlike worker threads, all
 * threads share the memory of their modules: state at the level of a module would be common to all.
 *
 * What a thread's callbacks throw ends it with that error, as in a worker; a promise that nobody awaits is beyond the
 * simulation's sight and ends the process, as everywhere in Node.
 */
import { assert } from '../../base/assert.ts';
import type { Host } from '../../host/host.ts';
import type { Port, Thread, ThreadMain, Threads } from '../../host/threads.ts';
import type { Kernel } from './kernel.ts';
import { Life } from './life.ts';

type Listen = (message: never) => void;

interface Pipe extends Port {
  readonly heard: () => boolean;
  readonly quietUs: () => number;
}

const MESSAGE_US_MAX = 50;
const START_US_MIN = 5_000;

export interface RunningThread {
  readonly name: string;
  /** It ends with the error, as when something in it threw. */
  end(error: Error): void;
}

/** @param running those that run, in the order of their starts @param hostOf makes the host of a new life on the same machine */
export function simulatedThreads(
  kernel: Kernel,
  parent: () => Life,
  hostOf: (life: () => Life) => Host,
  running: RunningThread[] = [],
): Threads {
  let spawned = 0;
  return {
    spawn(module, name, init): Thread {
      spawned += 1;
      const owner = parent();
      const label = `${owner.name}/${name}#${spawned}`;
      const stream = kernel.stream(`${label}/thread`);
      const settings = structuredClone(init);
      let exitListeners: ((error: Error | null) => void)[] = [];

      const exit = (error: unknown): void => {
        if (life.ended) return;
        life.end();
        const failure = error === null || error instanceof Error ? error : new Error(String(error));
        owner.later(up.quietUs(), 'thread exit', label, () => {
          for (const listener of exitListeners) listener(failure);
          exitListeners = [];
        });
      };
      const life = new Life(kernel, label, owner, exit);
      const entry: RunningThread = { name: label, end: exit };
      running.push(entry);
      const forget = owner.onEnd(() => life.end());
      life.onEnd(() => {
        forget();
        running.splice(running.indexOf(entry), 1);
      });
      const [down, up] = [pipe(owner, life, 'to'), pipe(life, owner, 'from')];

      function pipe(from: Life, to: Life, direction: string): Pipe {
        const listeners: Listen[] = [];
        let backlog: unknown[] = [];
        let lastUs = 0;
        /** From now until one more message would arrive, behind those on the way and what its sender is busy with. */
        const quietUs = (): number => {
          lastUs = Math.max(lastUs + 1, kernel.nowUs + from.busyUs() + 1 + stream.below(MESSAGE_US_MAX));
          return lastUs - kernel.nowUs;
        };
        const send = (message: unknown): void => {
          to.later(quietUs(), 'message', `${direction} ${label}`, () => {
            if (listeners.length > 0) for (const listener of listeners) listener(message as never);
            else if (to === life) backlog.push(message);
            else
              assert(
                false,
                `a message of thread ${label} came before onMessage was called: a worker would lose it`,
              );
          });
        };
        return {
          post(message) {
            const copy = structuredClone(message);
            if (!from.ended && !to.ended) send(copy);
          },
          onMessage(listener) {
            listeners.push(listener);
            const waiting = backlog;
            backlog = [];
            for (const message of waiting) send(message);
          },
          heard: () => listeners.length > 0,
          quietUs,
        };
      }

      kernel.hold(
        () => import(module.href) as Promise<{ serve: ThreadMain }>,
        (loaded) => {
          life.later(START_US_MIN + stream.below(START_US_MIN), 'thread start', label, () => {
            if (loaded.status === 'rejected') {
              exit(loaded.reason);
              return;
            }
            const port: Port = { post: up.post, onMessage: down.onMessage };
            const served = (async () =>
              loaded.value.serve(
                hostOf(() => life),
                port,
                settings as never,
              ))();
            served.then(() => {
              if (!down.heard()) exit(null); // nothing can reach it any more
            }, exit);
          });
        },
      );

      return {
        post: down.post,
        onMessage: up.onMessage,
        onExit: (listener) => void exitListeners.push(listener),
        async stop() {
          exit(null);
          await owner.outcome(1 + MESSAGE_US_MAX, 'thread stop', label, () => undefined);
        },
      };
    },
    load(module) {
      const life = parent();
      return new Promise((resolve, reject) => {
        kernel.hold(
          () => import(module) as Promise<Record<string, unknown>>,
          (loaded) =>
            life.call(() => (loaded.status === 'fulfilled' ? resolve(loaded.value) : reject(loaded.reason))),
        );
      });
    },
  };
}
