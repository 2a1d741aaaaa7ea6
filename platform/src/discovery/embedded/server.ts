/**
 * The embedded coordinator: one process that keeps a file (store.ts) and answers over a link. It is there or it is not: who
 * needs a coordinator that outlives its machine takes etcd.
 *
 * Leases end by this process's monotonic clock. Behind a restart each has its full time again: it may have been renewed in
 * the moment before. What arrived in time is served before a lease is ended, also when this process stood still.
 */
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import type { Json } from '../../base/json.ts';
import type { Host, Timer } from '../../host/host.ts';
import type { Address } from '../../host/network.ts';
import type { Serve } from '../../links/answerer.ts';
import { openPeers } from '../../links/peer.ts';
import { checkChanges, checkConditions, checkPrefix, checkRevision, checkTtl } from '../bounds.ts';
import type { News } from '../coordinator.ts';
import type { Asked } from './asked.ts';
import { type RecentBounds, recentNews } from './recent.ts';
import { openStore } from './store.ts';

export interface CoordinatorOptions {
  /** As instances dial it. */
  readonly name: string;
  readonly address: Address;
  /** Of its file; the folder is made. */
  readonly path: string;
  /** The cluster's, at least 16 bytes. */
  readonly secret: Uint8Array;
  /** Of a disk that fails, of links that were refused, and of bugs. */
  readonly report?: (error: unknown) => void;
  /** What is kept for those who watch and were away; 10,000 changes and 8 Mi characters when left out. */
  readonly recent?: RecentBounds;
}

export interface RunningCoordinator {
  /** With the port that was chosen. */
  readonly address: Address;
  /** What is being served ends first. */
  close(): Promise<void>;
}

const RECENT: RecentBounds = { newsMax: 10_000, charsMax: 8 * 1024 * 1024 };
const TIMEOUT_MS = 5_000;
/** Of one instance at once. */
const REQUESTS_MAX = 1_000;
const LEASE_ID_BYTES = 16;
/** When a lease could not be ended. */
const AGAIN_MS = 250;
/** Between two looks at whether another process has taken over. */
const REIGN_MS = 1_000;
/** In one turn: each is a commit, and renewals wait meanwhile. */
const ENDED_MAX = 100;

interface Held {
  readonly ttlMs: number;
  /** Monotonic. */
  endMs: number;
}

/** @throws CardumeError `storage-failed` when the file is damaged, or of a newer program */
export async function startCoordinator(
  host: Host,
  { name, address, path, secret, report = () => {}, recent: bounds = RECENT }: CoordinatorOptions,
): Promise<RunningCoordinator> {
  const { clock } = host;
  await host.disk.makeFolder(path.slice(0, Math.max(1, path.lastIndexOf('/'))));
  const store = openStore(host.disk, path);
  const recent = recentNews(store.revision, bounds);
  const held = new Map<string, Held>();
  const begunMs = clock.monotonicMs();
  for (const { id, ttlMs } of store.leases()) held.set(id, { ttlMs, endMs: begunMs + ttlMs });
  /** For those that outlive their links, when another process has taken over. */
  const replaced = new AbortController();
  let timer: Timer | null = null;
  let timerMs = Number.POSITIVE_INFINITY;
  let closed = false;

  /** Looks at the leases at that time, or before. */
  function lookAt(atMs: number): void {
    if (closed || replaced.signal.aborted || atMs >= timerMs) return;
    timer?.cancel();
    timerMs = atMs;
    // What has arrived by then is served first: a renewal may be among it.
    timer = clock.after(Math.max(1, Math.ceil(atMs - clock.monotonicMs())), () => clock.soon(look));
  }

  function look(): void {
    timerMs = Number.POSITIVE_INFINITY;
    if (closed || replaced.signal.aborted) return;
    const nowMs = clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    let left = ENDED_MAX;
    for (const [id, { endMs }] of held) {
      if (endMs <= nowMs && left > 0) {
        left -= 1;
        if (ended(id)) continue;
      }
      nextMs = Math.min(nextMs, held.get(id)?.endMs ?? nextMs);
    }
    lookAt(nextMs);
  }

  /** @returns whether it could be ended */
  function ended(id: string): boolean {
    try {
      end(id);
      return true;
    } catch (error) {
      if (!isCardumeError(error)) throw error;
      report(error);
      const lease = held.get(id);
      if (lease !== undefined) lease.endMs = clock.monotonicMs() + AGAIN_MS;
      return false;
    }
  }

  function end(id: string): void {
    const news = store.end(id);
    held.delete(id);
    recent.publish(news);
  }

  function leaseOf(id: unknown): Held {
    const lease = typeof id === 'string' ? held.get(id) : undefined;
    if (lease === undefined) throw new CardumeError('fenced', 'the lease has ended');
    return lease;
  }

  function change(conditions: unknown, changes: unknown): Json {
    checkConditions(conditions);
    checkChanges(changes);
    const { news, done, revision } = store.change(conditions, changes);
    recent.publish(news);
    return { done, revision };
  }

  function grant(ttlMs: unknown): Json {
    checkTtl(ttlMs);
    const id = Buffer.from(host.random.bytes(LEASE_ID_BYTES)).toString('hex');
    store.grant(id, ttlMs);
    const endMs = clock.monotonicMs() + ttlMs;
    held.set(id, { ttlMs, endMs });
    lookAt(endMs);
    return { id, ttlMs };
  }

  function renew(id: unknown): Json {
    store.check();
    const lease = leaseOf(id);
    lease.endMs = clock.monotonicMs() + lease.ttlMs;
    return null;
  }

  function watch(prefix: unknown, afterRevision: unknown, signal: AbortSignal): AsyncIterable<Json> {
    checkPrefix(prefix);
    checkRevision(afterRevision);
    store.check();
    return untilReplaced(recent.watch(prefix, afterRevision, AbortSignal.any([signal, replaced.signal])));
  }

  async function* untilReplaced(news: AsyncIterable<readonly News[]>): AsyncIterable<Json> {
    for await (const batch of news) yield batch as unknown as Json;
    replaced.signal.throwIfAborted();
  }

  function answer(asked: Asked): Json {
    switch (asked.do) {
      case 'read':
        checkPrefix(asked.prefix);
        return store.read(asked.prefix) as unknown as Json;
      case 'change':
        return change(asked.conditions, asked.changes);
      case 'grant':
        return grant(asked.ttlMs);
      case 'renew':
        return renew(asked.id);
      case 'end':
        if (held.has(asked.id)) end(asked.id);
        else store.check();
        return null;
      default:
        throw new CardumeError(
          'invalid-input',
          'the coordinator knows no such call: run a newer version of it',
        );
    }
  }

  const serve: Serve = (_from, message, signal) => {
    const asked = message as unknown as Asked;
    if (asked.do === 'watch') return watch(asked.prefix, asked.afterRevision, signal);
    return Promise.try(answer, asked);
  };

  /** A process that was replaced while it stood still has watchers that would wait for ever. */
  function stillReigns(): void {
    if (closed) return;
    try {
      if (!store.reigns()) {
        const detail = 'another process has taken over the coordinator';
        replaced.abort(new CardumeError('partition-unavailable', detail));
        return;
      }
    } catch (error) {
      if (!isCardumeError(error)) throw error;
      report(error);
    }
    clock.after(REIGN_MS, stillReigns);
  }

  const nobody = (peer: string): never => {
    throw new CardumeError('not-found', `the coordinator asks nobody, '${peer}' neither`);
  };
  const peers = openPeers(host, {
    ...{ self: name, secret, addressOf: nobody, timeoutMs: TIMEOUT_MS, requestsMax: REQUESTS_MAX },
    ...{ serve, report },
  });
  try {
    const listening = await peers.listen(address);
    lookAt(Math.min(...[...held.values()].map(({ endMs }) => endMs)));
    stillReigns();
    return {
      address: listening,
      async close() {
        await peers.close();
        closed = true;
        timer?.cancel();
        store.close();
      },
    };
  } catch (error) {
    store.close();
    throw error;
  }
}
