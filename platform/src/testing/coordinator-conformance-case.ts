/** One case of the coordinators' conformance suite, and what the cases share. */
import assert from 'node:assert/strict';
import { type ErrorCode, isCardumeError } from '../base/errors.ts';
import type { Change, Coordinator, Lease, News } from '../discovery/coordinator.ts';
import type { Host } from '../host/host.ts';

export interface CoordinatorUnderTest {
  /** For its clock. */
  readonly host: Host;
  /** A further client of the same coordinator, which knows no value at first. */
  open(): Promise<Coordinator>;
  /** The shortest lease that is worth asking for. */
  readonly ttlMs: number;
  /** The coordinator forgets news of what has happened so far. */
  forget(): Promise<void>;
}

/** Cases by title. */
export type CoordinatorCases = Readonly<Record<string, (under: CoordinatorUnderTest) => Promise<void>>>;

/** What it may take to end a lease, and to tell of it, once its time is over. */
export const LATE_MS_MAX = 6_000;

export async function fails(work: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(work, (error) => {
    if (!isCardumeError(error)) throw error;
    assert.equal(error.code, code, error.message);
    return true;
  });
}

/** @returns the revision of the change */
export async function put(coordinator: Coordinator, ...changes: readonly Change[]): Promise<number> {
  const { done, revision } = await coordinator.change([], changes);
  assert.ok(done, 'a change without a condition is done');
  return revision;
}

export async function valuesOf(coordinator: Coordinator, prefix = ''): Promise<Record<string, string>> {
  const { values } = await coordinator.read(prefix);
  return Object.fromEntries(values.map(({ key, value }) => [key, value]));
}

export interface Watching {
  /** The next lists, until they hold so many news. */
  take(count: number): Promise<(readonly News[])[]>;
  /** Ends it. @returns what it had to tell that nobody took */
  end(): Promise<readonly News[]>;
}

/** News from now on are kept until somebody takes them. */
export function watching(
  under: CoordinatorUnderTest,
  coordinator: Coordinator,
  prefix: string,
  after: number,
): Watching {
  const ending = new AbortController();
  const lists: (readonly News[])[] = [];
  let failure: unknown = null;
  const ended = (async () => {
    for await (const news of coordinator.watch(prefix, after, ending.signal)) lists.push(news);
  })().catch((error: unknown) => {
    failure = error;
  });
  const check = (): void => {
    if (failure !== null) throw failure;
  };
  return {
    async take(count) {
      const held = (): number => lists.reduce((sum, { length }) => sum + length, 0);
      await until(under, () => {
        check();
        return held() >= count;
      });
      return lists.splice(0);
    },
    async end() {
      ending.abort();
      await ended;
      check();
      return lists.flat();
    },
  };
}

/** At most `limitMs` of the host's time. */
export async function until(
  { host }: CoordinatorUnderTest,
  condition: () => boolean | Promise<boolean>,
  limitMs = LATE_MS_MAX,
): Promise<void> {
  const endMs = host.clock.monotonicMs() + limitMs;
  while (!(await condition())) {
    assert.ok(host.clock.monotonicMs() < endMs, `not within ${limitMs} ms: ${condition}`);
    await host.clock.sleep(20);
  }
}

/** A lease that somebody renews in time until it is told to stop. */
export function renewing({ host }: CoordinatorUnderTest, lease: Lease): { stop(): Promise<void> } {
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      await lease.renew();
      await host.clock.sleep(lease.ttlMs / 4);
    }
  })();
  done.catch(() => undefined); // told where it is awaited
  return {
    stop() {
      stopped = true;
      return done;
    },
  };
}
