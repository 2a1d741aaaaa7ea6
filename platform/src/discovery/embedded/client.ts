/** The embedded coordinator as an instance sees it: one more peer, over the links that the instance has. */
import { CardumeError, type ErrorCode, isCardumeError } from '../../base/errors.ts';
import type { Json } from '../../base/json.ts';
import type { Peers } from '../../links/peer.ts';
import { checkChanges, checkConditions, checkPrefix, checkRevision, checkTtl } from '../bounds.ts';
import type { Changed, Coordinator, News, Read } from '../coordinator.ts';
import type { Asked } from './asked.ts';

/** What a failure keeps its name by; of all others it is known whether something was changed, or it is not. */
const KEPT: readonly ErrorCode[] = ['invalid-input', 'fenced', 'overloaded', 'unknown-outcome'];
/** Nothing was carried out. */
const UNDONE: readonly ErrorCode[] = ['partition-unavailable', 'draining', 'body-too-large', 'query-refused'];

/** @param name of the peer: `addressOf` of the links knows where it is */
export function openEmbedded(
  peers: Pick<Peers, 'request' | 'stream'>,
  { name }: { readonly name: string },
): Coordinator {
  const closed = new AbortController();

  /** @param changes whether an answer that is lost leaves something in doubt */
  async function ask(asked: Asked, changes: boolean): Promise<Json> {
    closed.signal.throwIfAborted();
    try {
      return await peers.request(name, asked as unknown as Json);
    } catch (error) {
      throw told(error, changes);
    }
  }

  async function* watch(
    prefix: string,
    afterRevision: number,
    signal: AbortSignal,
  ): AsyncIterable<readonly News[]> {
    checkPrefix(prefix);
    checkRevision(afterRevision);
    closed.signal.throwIfAborted();
    const either = AbortSignal.any([signal, closed.signal]);
    try {
      const asked: Asked = { do: 'watch', prefix, afterRevision };
      for await (const news of peers.stream(name, asked as unknown as Json, either))
        yield news as unknown as readonly News[];
    } catch (error) {
      throw told(error, false);
    }
    if (signal.aborted) return;
    closed.signal.throwIfAborted();
    throw new CardumeError('partition-unavailable', `'${name}' has ended the watch`);
  }

  return {
    async read(prefix) {
      checkPrefix(prefix);
      return (await ask({ do: 'read', prefix }, false)) as unknown as Read;
    },
    async change(conditions, changes) {
      checkConditions(conditions);
      checkChanges(changes);
      return (await ask({ do: 'change', conditions, changes }, true)) as unknown as Changed;
    },
    async grant(ttlMs) {
      checkTtl(ttlMs);
      const granted = (await ask({ do: 'grant', ttlMs }, true)) as { id: string; ttlMs: number };
      return {
        ...granted,
        renew: async () => void (await ask({ do: 'renew', id: granted.id }, true)),
        end: async () => void (await ask({ do: 'end', id: granted.id }, true)),
      };
    },
    watch,
    async close() {
      closed.abort(new CardumeError('draining', 'the instance is shutting down'));
    },
  };
}

function told(error: unknown, changes: boolean): unknown {
  if (!isCardumeError(error)) return error;
  const isInDoubt = !UNDONE.includes(error.code);
  if (KEPT.includes(error.code) && (changes || error.code !== 'unknown-outcome')) return error;
  const code = changes && isInDoubt ? 'unknown-outcome' : 'partition-unavailable';
  return error.code === code ? error : new CardumeError(code, error.message, { cause: error });
}
