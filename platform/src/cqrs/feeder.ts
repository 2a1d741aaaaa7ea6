/** The thread that feeds replicas in files, seen from the instance: begun when it is first needed, and again when it ends. */
import { CardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import type { Thread } from '../host/threads.ts';
import type { Standing } from './replica.ts';
import type { FeedReply, FeedRequest } from './replica-thread.ts';

export interface Feeder {
  /** @throws CardumeError `storage-failed` */
  feed(request: Omit<FeedRequest, 'id'>): Promise<Standing>;
  close(): Promise<void>;
}

interface Asked {
  readonly resolve: (standing: Standing) => void;
  readonly reject: (error: CardumeError) => void;
}

export function openFeeder(host: Host): Feeder {
  const asked = new Map<number, Asked>();
  let thread: Thread | null = null;
  let ids = 0;
  let isClosed = false;

  function fail(reason: string): void {
    for (const { reject } of asked.values()) reject(new CardumeError('storage-failed', reason));
    asked.clear();
  }

  function begin(): Thread {
    const begun = host.threads.spawn(new URL('./replica-thread.ts', import.meta.url), 'replica', {});
    begun.onMessage((reply: FeedReply) => {
      const one = asked.get(reply.id); // none: it was told that the thread has ended
      asked.delete(reply.id);
      if ('standing' in reply) one?.resolve(reply.standing);
      else one?.reject(new CardumeError('storage-failed', reply.error));
    });
    begun.onExit(() => {
      thread = null;
      fail('the thread that feeds replicas has ended');
    });
    return begun;
  }

  return {
    feed(request) {
      if (isClosed) return Promise.reject(new CardumeError('draining', 'the instance is shutting down'));
      ids += 1;
      const id = ids;
      thread ??= begin();
      thread.post({ ...request, id } satisfies FeedRequest);
      return new Promise((resolve, reject) => asked.set(id, { resolve, reject }));
    },
    async close() {
      isClosed = true;
      await thread?.stop();
      fail('the instance is shutting down');
    },
  };
}
