/** The thread that feeds replicas in files, seen from the instance: begun when it is first needed, and again when it ends. */
import { CardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import type { Thread } from '../host/threads.ts';
import type { Standing } from './replica.ts';
import type { FeederReply, FeederRequest } from './replica-thread.ts';

type Unnumbered<Request> = Request extends unknown ? Omit<Request, 'id' | 'kind'> : never;
type Feed = Unnumbered<Extract<FeederRequest, { readonly kind: 'feed' }>>;

export interface Feeder {
  /**
   * @throws CardumeError `fenced` when another host feeds it, `draining` when it is closed meanwhile, and whatever its
   *   storage throws
   */
  feed(feed: Feed): Promise<Standing>;
  /** The file is left alone. */
  leave(path: string): Promise<void>;
  close(): Promise<void>;
}

interface Asked {
  readonly resolve: (standing: Standing | null) => void;
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
    begun.onMessage((reply: FeederReply) => {
      const one = asked.get(reply.id); // none: it was told that the thread has ended
      asked.delete(reply.id);
      if ('standing' in reply) one?.resolve(reply.standing);
      else one?.reject(new CardumeError(reply.code as 'internal', reply.detail));
    });
    begun.onExit(() => {
      thread = null;
      fail('the thread that feeds replicas has ended');
    });
    return begun;
  }

  function ask(to: Thread, request: (id: number) => FeederRequest): Promise<Standing | null> {
    ids += 1;
    const id = ids;
    to.post(request(id));
    return new Promise((resolve, reject) => asked.set(id, { resolve, reject }));
  }

  return {
    async feed(feed) {
      if (isClosed) throw new CardumeError('draining', 'the instance is shutting down');
      thread ??= begin();
      return (await ask(thread, (id) => ({ kind: 'feed', id, ...feed }))) as Standing;
    },
    async leave(path) {
      if (thread === null || isClosed) return;
      await ask(thread, (id) => ({ kind: 'close', id, path })).catch(() => undefined); // it has ended, then
    },
    async close() {
      isClosed = true;
      await thread?.stop();
      fail('the instance is shutting down');
    },
  };
}
