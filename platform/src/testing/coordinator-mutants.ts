/**
 * Coordinators that break one rule each, to prove that the conformance suite sees it. Used by tests only.
 *
 * Rules of the file are broken in its SQL, of time in the server's clock, and all others in a wrapper around the client.
 */
import { isCardumeError } from '../base/errors.ts';
import {
  CHANGES_MAX,
  type Change,
  CONDITIONS_MAX,
  type Condition,
  type Coordinator,
  KEY_CHARS_MAX,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
  type Lease,
  type News,
  type Read,
  VALUE_CHARS_MAX,
} from '../discovery/coordinator.ts';
import type { Host } from '../host/host.ts';
import { changedDisk, type StatementChange } from './changed-disk.ts';

export interface CoordinatorMutant {
  /** Cases of the suite that must fail: all of them, and no others. */
  readonly breaks: readonly string[];
  /** Statement → what the file gets instead. */
  readonly sql?: readonly StatementChange[];
  host?(host: Host): Host;
  /** What a client is to the cases. */
  seen?(client: Coordinator): Coordinator;
}

const LINEAR = 'who reads behind a change sees it, whoever made it';
const READ = 'a read gives the values under a prefix, in order of key, and what they were given as';
const GROWS = 'a revision grows with every change, and a value keeps that of its own';
const STANDS = 'a condition on what stands holds at its revision alone';
const ABSENT = 'a condition on what is absent holds as long as it is';
const AGAIN = 'what was removed and made again is another';
const TOGETHER = 'changes stand together or not at all';
const ONE = 'of many who want the same one gets it';
const NOTHING = 'what changes nothing is done, and is no news';
const CLOSED = 'who has closed gets no answer any more';
const ENDS = 'a lease that nobody renews ends with its values, no sooner than its time';
const RENEWED = 'a lease that is renewed stays';
const FENCED = 'an ended lease is neither renewed, nor bound to: that is fenced, and changes nothing';
const ENDED = 'a lease can be ended at once, and again';
const UNBOUND = 'a value that is put again without its lease, or with another, stays when the lease ends';
const EMPTY = 'a lease that holds nothing ends, and is no news';
const WATCH = 'a watch has every change behind its revision, once and in order, while others change';
const ARRIVES = 'what one change brings arrives together';
const PREFIX = 'a watch has what lies under its prefix, and nothing else';
const FORGOTTEN = 'a watch that wants what is forgotten is told so, and begins again from a read';
const SIGNAL = 'a watch ends with its signal, also before it has begun';
const KEYS = 'keys have their characters and their length';
const VALUES = 'values have their length, and are text';
const CHANGE = 'a change has a bound of keys and of characters';
const NUMBERS = 'revisions and times are whole numbers within their bounds';

/** The host of the server, as the mutant has it. */
export const hostOf =
  ({ sql = [], host = (same) => same }: CoordinatorMutant) =>
  (real: Host): Host =>
    host({ ...real, disk: changedDisk(real.disk, sql) });

export const coordinatorMutants: Readonly<Record<string, CoordinatorMutant>> = {
  'a read is of a moment ago': {
    breaks: [LINEAR, TOGETHER, UNBOUND, VALUES],
    seen(client) {
      const known = new Map<string, Read>();
      return {
        ...client,
        async read(prefix) {
          const before = known.get(prefix);
          const now = await client.read(prefix);
          known.set(prefix, now);
          return before ?? now;
        },
      };
    },
  },
  'a read goes on behind its prefix': {
    breaks: [READ, FORGOTTEN],
    sql: [['key >= ? AND key < ?', 'key >= ? AND (key < ? OR 1)']],
  },
  'a read has no order': {
    breaks: [READ, TOGETHER],
    sql: [['key < ? ORDER BY key', 'key < ? ORDER BY key DESC']],
  },
  'a value loses what JSON would escape': {
    breaks: [READ],
    seen: (client) => ({
      ...client,
      change: (conditions, changes) =>
        client.change(
          conditions,
          changes.map((change) =>
            change.value === null ? change : { ...change, value: change.value.replaceAll('\u0000', '') },
          ),
        ),
    }),
  },
  'a revision does not grow': {
    breaks: [LINEAR, GROWS, ENDS, FENCED, WATCH, ARRIVES, PREFIX, FORGOTTEN],
    sql: [['SET revision = ?', 'SET revision = min(?, 1)']],
  },
  'a value has the revision of when it was made': {
    breaks: [LINEAR, STANDS],
    sql: [['revision = excluded.revision,', '']],
  },
  'conditions are not looked at': {
    breaks: [STANDS, ABSENT, AGAIN, TOGETHER, ONE, NOTHING, KEYS, CHANGE, NUMBERS],
    seen: (client) => ({
      ...client,
      change: (conditions, changes) => client.change(conditions.slice(CONDITIONS_MAX), changes),
    }),
  },
  'a condition on absence always holds': {
    breaks: [STANDS, ABSENT, ONE, NOTHING, KEYS],
    seen: (client) => ({
      ...client,
      change: (conditions, changes) =>
        client.change(
          conditions.filter(({ revision }) => revision !== 0 || conditions.length > 2),
          changes,
        ),
    }),
  },
  'a condition asks whether there is a value, not which': {
    breaks: [STANDS, AGAIN, NUMBERS],
    seen: (client) => ({
      ...client,
      async change(conditions, changes) {
        const current: Condition[] = [];
        for (const one of conditions) {
          const found = one.revision > 0 && /^[a-z]+$/.test(one.key) ? await client.read(one.key) : null;
          current.push({ ...one, revision: found?.values[0]?.revision ?? one.revision });
        }
        return client.change(current, changes);
      },
    }),
  },
  'the last of many conditions is forgotten': {
    breaks: [TOGETHER],
    seen: (client) => ({
      ...client,
      change: (conditions, changes) =>
        client.change(conditions.length === 2 ? conditions.slice(0, 1) : conditions, changes),
    }),
  },
  'changes stand one by one': {
    breaks: [READ, TOGETHER, FENCED, PREFIX, KEYS, VALUES, CHANGE],
    seen: (client) => ({
      ...client,
      async change(conditions, changes) {
        if (changes.length < 2 || changes.length > CHANGES_MAX - 1) return client.change(conditions, changes);
        let last = await client.change(conditions, changes.slice(0, 1));
        for (const change of last.done ? changes.slice(1) : []) last = await client.change([], [change]);
        return last;
      },
    }),
  },
  'what changes nothing is news': {
    breaks: [NOTHING, ARRIVES, PREFIX],
    seen: (client) => ({
      ...client,
      async change(conditions, changes) {
        const [first] = changes;
        if (first?.value === null) await client.change(conditions, [{ key: first.key, value: '' }]);
        return client.change(first?.value === null ? [] : conditions, changes);
      },
    }),
  },
  'who has closed goes on': {
    breaks: [CLOSED],
    seen: (client) => ({ ...client, close: async () => undefined }),
  },
  'leases end too soon': {
    breaks: [ENDS, RENEWED],
    host: (host) => ({
      ...host,
      clock: {
        ...host.clock,
        monotonicMs: () => host.clock.monotonicMs() * 2,
        after: (delayMs, callback) => host.clock.after(delayMs / 2, callback),
      },
    }),
  },
  'leases do not end': {
    breaks: [ENDS, RENEWED, FENCED, NUMBERS],
    seen: (client) => ({
      ...client,
      grant: async (ttlMs) => ({ ...(await client.grant(ttlMs > 0 ? LEASE_MS_MAX : ttlMs)), ttlMs }),
    }),
  },
  'a renewal does nothing': {
    breaks: [RENEWED, FENCED, ENDED, EMPTY],
    seen: granting((lease) => ({ ...lease, renew: async () => undefined })),
  },
  'a lease says that it is longer than it is': {
    breaks: [ENDS, RENEWED],
    seen: granting((lease) => ({ ...lease, ttlMs: lease.ttlMs * 2 })),
  },
  'values outlive their lease': {
    breaks: [ENDS, RENEWED, FENCED, ENDED, UNBOUND],
    sql: [['WHERE lease = ? ORDER BY key', 'WHERE lease = ? AND 0 ORDER BY key']],
  },
  'what goes with a lease goes one by one': {
    breaks: [ENDS],
    seen: watchingBy((news) => (news.every(isGone) ? news.map((one) => [one]) : [news])),
  },
  'a value may be bound to a lease that has ended': {
    breaks: [FENCED],
    sql: [['SELECT 1 FROM coordinator_leases WHERE id = ?', 'SELECT 1 WHERE ? IS NOT NULL']],
  },
  'a lease is not ended by hand': {
    breaks: [ENDED, UNBOUND, EMPTY],
    seen: granting((lease) => ({ ...lease, end: async () => undefined })),
  },
  'a lease is ended once, and then it is a fault': {
    breaks: [FENCED, ENDED],
    seen: granting((lease) => ({
      ...lease,
      async end() {
        await lease.renew();
        await lease.end();
      },
    })),
  },
  'a value stays bound to its first lease': {
    breaks: [UNBOUND],
    sql: [['lease = excluded.lease', 'lease = coalesce(coordinator_values.lease, excluded.lease)']],
  },
  'the end of any lease is news': {
    breaks: [EMPTY],
    seen: (client) => ({
      ...client,
      async grant(ttlMs) {
        const lease = await client.grant(ttlMs);
        const end = async (): Promise<void> => {
          await lease.end();
          await client.change([], [{ key: 'ended', value: '' }]);
          await client.change([], [{ key: 'ended', value: null }]);
        };
        return { ...lease, end };
      },
    }),
  },
  'a watch begins with what comes next': {
    breaks: [WATCH, ARRIVES, PREFIX, FORGOTTEN],
    seen: (client) => ({
      ...client,
      async *watch(prefix, after, signal) {
        const isRight = Number.isSafeInteger(after) && after >= 0;
        const { revision } = isRight && !signal.aborted ? await client.read(prefix) : { revision: after };
        yield* client.watch(prefix, revision, signal);
      },
    }),
  },
  'a watch repeats a change': {
    breaks: [WATCH, ARRIVES],
    seen: watchingBy((news) => (news.some(({ value }) => value === '40') ? [news, news] : [news])),
  },
  'a watch skips a change': {
    breaks: [WATCH, ARRIVES],
    seen: watchingBy((news) => (news.some(({ value }) => value === '40') ? [] : [news])),
  },
  'a watch has changes out of order': {
    breaks: [WATCH],
    seen(client) {
      return {
        ...client,
        async *watch(prefix, after, signal) {
          let kept: readonly News[] | null = null;
          for await (const news of client.watch(prefix, after, signal)) {
            if (news[0]?.value === '40') {
              kept = news;
              continue;
            }
            yield news;
            if (kept !== null) yield kept;
            kept = null;
          }
        },
      };
    },
  },
  'a watch is not told of what is removed': {
    breaks: [ENDS, ARRIVES, PREFIX],
    seen: watchingBy((news) => {
      const left = news.filter((one) => !isGone(one));
      return left.length === 0 ? [] : [left];
    }),
  },
  'a change arrives in parts': {
    breaks: [ENDS, ARRIVES, PREFIX],
    seen: watchingBy((news) => news.map((one) => [one])),
  },
  'a watch has all keys': {
    breaks: [PREFIX],
    seen: (client) => ({
      ...client,
      watch: (prefix, after, signal) => client.watch(/^[rns]/.test(prefix) ? '' : prefix, after, signal),
    }),
  },
  'a watch passes over what is forgotten': {
    breaks: [FORGOTTEN],
    seen: (client) => ({
      ...client,
      async *watch(prefix, after, signal) {
        try {
          yield* client.watch(prefix, after, signal);
        } catch (error) {
          if (!isCardumeError(error, 'partition-unavailable')) throw error;
          yield* client.watch(prefix, (await client.read(prefix)).revision, signal);
        }
      },
    }),
  },
  'a watch goes on when nobody wants it': {
    breaks: [NOTHING, ENDS, EMPTY, WATCH, ARRIVES, PREFIX, FORGOTTEN, SIGNAL],
    seen: (client) => ({
      ...client,
      watch: (prefix, after) => client.watch(prefix, after, new AbortController().signal),
    }),
  },
  'keys are made to fit': {
    breaks: [KEYS],
    seen: (client) => {
      const fit = (key: string): string =>
        key.replaceAll(/[^a-z0-9_./-]/g, '').slice(0, KEY_CHARS_MAX) || 'k';
      return {
        ...client,
        read: (prefix) => client.read(prefix === '' ? '' : fit(prefix)),
        change: (conditions, changes) =>
          client.change(
            conditions.map((one) => ({ ...one, key: fit(one.key) })),
            changes.map((one) => ({ ...one, key: fit(one.key) })),
          ),
      };
    },
  },
  'values are made to fit': {
    breaks: [VALUES],
    seen: (client) => ({
      ...client,
      change: (conditions, changes) =>
        client.change(
          conditions,
          changes.map((one): Change => {
            if (one.value === null) return one;
            return { ...one, value: one.value.slice(0, VALUE_CHARS_MAX).toWellFormed() };
          }),
        ),
    }),
  },
  'a change is made to fit': {
    breaks: [CHANGE],
    seen: (client) => ({
      ...client,
      change: (conditions, changes) =>
        client.change(conditions.slice(0, CONDITIONS_MAX), changes.slice(0, CHANGES_MAX)),
    }),
  },
  'numbers are made to fit': {
    breaks: [NUMBERS],
    seen: (client) => {
      const fit = (revision: number): number => Math.max(0, Math.trunc(revision)) || 0;
      return {
        ...client,
        grant: (ttlMs) => client.grant(Math.min(LEASE_MS_MAX, Math.max(LEASE_MS_MIN, fit(ttlMs)))),
        watch: (prefix, after, signal) => client.watch(prefix, fit(after), signal),
      };
    },
  },
};

function isGone({ value }: News): boolean {
  return value === null;
}

function granting(change: (lease: Lease) => Lease): (client: Coordinator) => Coordinator {
  return (client) => ({ ...client, grant: async (ttlMs) => change(await client.grant(ttlMs)) });
}

/** @param change lists that take the place of one */
function watchingBy(
  change: (news: readonly News[]) => readonly (readonly News[])[],
): (client: Coordinator) => Coordinator {
  return (client) => ({
    ...client,
    async *watch(prefix, after, signal) {
      for await (const news of client.watch(prefix, after, signal)) yield* change(news);
    },
  });
}
