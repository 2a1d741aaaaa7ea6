/** The coordinator over etcd: a cluster of three or five members that outlives the loss of one or two. */
import { CardumeError } from '../../base/errors.ts';
import type { Clock } from '../../host/host.ts';
import { checkChanges, checkConditions, checkPrefix, checkRevision, checkTtl } from '../bounds.ts';
import type { Change, Changed, Condition, Coordinator, Lease, News, Read } from '../coordinator.ts';
import { type MembersOptions, openMembers } from './members.ts';
import { bytesOf, failureOf, isSignedOut, type Message, numberOf, textOf } from './message.ts';

export interface EtcdOptions extends MembersOptions {
  /** What all keys begin with: each cluster has keys of its own, such as `/cardume/shop/`. */
  readonly prefix: string;
}

/** Leases are of whole seconds; etcd has a shortest one too, by its election time-out: 2 s as it comes. */
const SECOND_MS = 1_000;
/** An id of etcd's; 0 means none. */
const LEASE_ID = /^[1-9]\d{0,18}$/;

export function openEtcd(clock: Clock, options: EtcdOptions): Coordinator {
  const members = openMembers(clock, options);
  const { prefix: ours } = options;
  const closed = new AbortController();
  /** A range of keys; the end is the first key behind all that begin so. */
  const range = (prefix: string): Message => {
    const key = ours + prefix;
    const end = key.slice(0, -1) + String.fromCharCode(key.charCodeAt(key.length - 1) + 1);
    return { key: bytesOf(key), range_end: bytesOf(end) };
  };
  const keyOf = (bytes: unknown): string => textOf(bytes).slice(ours.length);

  async function read(prefix: string): Promise<Read> {
    checkPrefix(prefix);
    const { header, kvs } = await members.call('/v3/kv/range', range(prefix), 'read');
    const found = (kvs ?? []) as readonly Message[];
    return {
      revision: numberOf((header as Message)['revision']),
      values: found.map(({ key, value, mod_revision: revision }) => ({
        key: keyOf(key),
        value: textOf(value),
        revision: numberOf(revision),
      })),
    };
  }

  async function change(conditions: readonly Condition[], changes: readonly Change[]): Promise<Changed> {
    checkConditions(conditions);
    checkChanges(changes);
    const compare = conditions.map(({ key, revision }) => ({
      ...{ key: bytesOf(ours + key), target: 'MOD', result: 'EQUAL', mod_revision: String(revision) },
    }));
    const success = changes.map((one) => {
      const key = bytesOf(ours + one.key);
      if (one.value === null) return { request_delete_range: { key } };
      const value = bytesOf(one.value);
      if (one.lease === undefined) return { request_put: { key, value } };
      if (!LEASE_ID.test(one.lease)) throw new CardumeError('fenced', `the lease of '${one.key}' has ended`);
      return { request_put: { key, value, lease: one.lease } };
    });
    const { header, succeeded } = await members.call('/v3/kv/txn', { compare, success }, 'once');
    return { done: succeeded === true, revision: numberOf((header as Message)['revision']) };
  }

  async function grant(ttlMs: number): Promise<Lease> {
    checkTtl(ttlMs);
    const seconds = Math.ceil(ttlMs / SECOND_MS);
    // One whose answer was lost ends by itself.
    const granted = await members.call('/v3/lease/grant', { TTL: String(seconds) }, 'again');
    const id = String(granted['ID']);
    return {
      id,
      ttlMs: numberOf(granted['TTL']) * SECOND_MS,
      async renew() {
        const { result } = await members.call('/v3/lease/keepalive', { ID: id }, 'again');
        if (numberOf((result as Message | undefined)?.['TTL']) <= 0)
          throw new CardumeError('fenced', 'the lease has ended');
      },
      async end() {
        try {
          await members.call('/v3/lease/revoke', { ID: id }, 'again');
        } catch (error) {
          if (!(error instanceof CardumeError) || error.code !== 'fenced') throw error;
        }
      },
    };
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
    const told = { revision: afterRevision };
    // A token may have grown old meanwhile: then once more, with a new one.
    for (const isLast of [false, true]) {
      const start = { ...range(prefix), start_revision: String(told.revision + 1) };
      for await (const message of members.stream('/v3/watch', { create_request: start }, either)) {
        const { result } = message as { readonly result?: Message };
        const failure =
          result === undefined
            ? failureOf(JSON.stringify(message))
            : { message: String(result['cancel_reason'] ?? ''), code: 0 };
        if (result === undefined || result['canceled'] === true) {
          if (!isLast && isSignedOut(failure)) break;
          throw unwatched(failure.message, result, told.revision);
        }
        for (const news of byRevision((result['events'] ?? []) as readonly Message[], keyOf)) {
          told.revision = (news[0] as News).revision;
          yield news;
          if (signal.aborted) return;
        }
      }
      if (signal.aborted) return;
      closed.signal.throwIfAborted();
      members.signOut();
    }
  }

  return {
    read,
    change,
    grant,
    watch,
    async close() {
      closed.abort(new CardumeError('draining', 'the instance is shutting down'));
      await members.close();
    },
  };
}

function unwatched(why: string, result: Message | undefined, revision: number): CardumeError {
  const compacted = numberOf(result?.['compact_revision']);
  const detail =
    compacted > 0
      ? `etcd has forgotten what came before revision ${compacted}, and ${revision} is older: read again, and watch from there`
      : `etcd has ended the watch: ${why}`;
  return new CardumeError('partition-unavailable', detail);
}

/** One message holds whole revisions, in order. */
function byRevision(events: readonly Message[], keyOf: (bytes: unknown) => string): News[][] {
  const lists: News[][] = [];
  for (const { type, kv } of events) {
    const { key, value, mod_revision: at } = kv as Message;
    const revision = numberOf(at);
    const news: News = { key: keyOf(key), value: type === 'DELETE' ? null : textOf(value), revision };
    const list = lists.at(-1);
    if (list?.[0]?.revision === revision) list.push(news);
    else lists.push([news]);
  }
  return lists;
}
