/** Leases: how long they last, and what goes with them. */
import assert from 'node:assert/strict';
import {
  type CoordinatorCases,
  fails,
  LATE_MS_MAX,
  put,
  renewing,
  until,
  valuesOf,
  watching,
} from './coordinator-conformance-case.ts';

export const leases: CoordinatorCases = {
  'a lease that nobody renews ends with its values, no sooner than its time': async (under) => {
    const [a, b] = [await under.open(), await under.open()];
    const grantedMs = under.host.clock.monotonicMs();
    const lease = await a.grant(under.ttlMs);
    assert.ok(lease.ttlMs >= under.ttlMs);
    const revision = await put(
      a,
      { key: 'held/1', value: 'a', lease: lease.id },
      { key: 'held/2', value: 'b', lease: lease.id },
      { key: 'free', value: 'c' },
    );
    const news = watching(under, b, '', revision);
    let atLeastMs = 0;
    await until(
      under,
      async () => {
        const beforeMs = under.host.clock.monotonicMs();
        const isThere = 'held/1' in (await valuesOf(b));
        if (!isThere) atLeastMs = under.host.clock.monotonicMs() - grantedMs;
        else assert.ok(beforeMs - grantedMs < lease.ttlMs + LATE_MS_MAX);
        return !isThere;
      },
      lease.ttlMs + LATE_MS_MAX,
    );
    assert.ok(atLeastMs >= lease.ttlMs, `it ended after ${atLeastMs} of ${lease.ttlMs} ms`);
    assert.deepEqual(await valuesOf(b), { free: 'c' });
    const [gone] = await news.take(2);
    assert.deepEqual(
      gone?.map(({ key, value }) => [key, value]),
      [
        ['held/1', null],
        ['held/2', null],
      ],
      'both at once',
    );
    assert.ok((gone?.[0]?.revision ?? 0) > revision, 'the end has a revision of its own');
    assert.equal(gone?.[0]?.revision, gone?.[1]?.revision);
    await news.end();
    assert.ok((await b.read('')).revision >= (gone?.[0]?.revision ?? 0));
  },

  'a lease that is renewed stays': async (under) => {
    const [a, b] = [await under.open(), await under.open()];
    const lease = await a.grant(under.ttlMs);
    const other = await a.grant(under.ttlMs);
    await put(a, { key: 'held', value: 'a', lease: lease.id }, { key: 'other', value: 'b', lease: other.id });
    const renewals = renewing(under, lease);
    await until(under, async () => !('other' in (await valuesOf(b))), other.ttlMs + LATE_MS_MAX);
    await under.host.clock.sleep(lease.ttlMs);
    assert.deepEqual(await valuesOf(b), { held: 'a' });
    await renewals.stop();
    const renewedMs = under.host.clock.monotonicMs();
    await lease.renew();
    await until(under, async () => !('held' in (await valuesOf(b))), lease.ttlMs + LATE_MS_MAX);
    assert.ok(
      under.host.clock.monotonicMs() - renewedMs >= lease.ttlMs,
      'each renewal gives it its full time',
    );
  },

  'an ended lease is neither renewed, nor bound to: that is fenced, and changes nothing': async (under) => {
    const [a, b] = [await under.open(), await under.open()];
    const lease = await a.grant(under.ttlMs);
    const revision = await put(a, { key: 'held', value: 'a', lease: lease.id });
    await until(under, async () => !('held' in (await valuesOf(b))), lease.ttlMs + LATE_MS_MAX);
    await fails(lease.renew(), 'fenced');
    const bound = [
      { key: 'free', value: 'b' },
      { key: 'held', value: 'c', lease: lease.id },
    ];
    await fails(a.change([], bound), 'fenced');
    for (const unknown of ['0', 'no such lease', '123456789'])
      await fails(a.change([], [{ key: 'held', value: 'c', lease: unknown }]), 'fenced');
    const late = await a.read('');
    assert.deepEqual(late.values, []);
    assert.ok(late.revision > revision);
    await lease.end();
  },

  'a lease can be ended at once, and again': async (under) => {
    const [a, b] = [await under.open(), await under.open()];
    const lease = await a.grant(60_000);
    await put(a, { key: 'held', value: 'a', lease: lease.id }, { key: 'free', value: 'b' });
    await lease.end();
    assert.deepEqual(await valuesOf(b), { free: 'b' });
    await fails(lease.renew(), 'fenced');
    await lease.end();
    assert.deepEqual(await valuesOf(b), { free: 'b' });
  },

  'a value that is put again without its lease, or with another, stays when the lease ends': async (
    under,
  ) => {
    const coordinator = await under.open();
    const [first, second] = [await coordinator.grant(60_000), await coordinator.grant(60_000)];
    await put(
      coordinator,
      { key: 'a', value: '1', lease: first.id },
      { key: 'b', value: '1', lease: first.id },
      { key: 'c', value: '1', lease: first.id },
    );
    await put(coordinator, { key: 'a', value: '2' }, { key: 'b', value: '2', lease: second.id });
    await first.end();
    assert.deepEqual(await valuesOf(coordinator), { a: '2', b: '2' });
    await second.end();
    assert.deepEqual(await valuesOf(coordinator), { a: '2' });
  },

  'a lease that holds nothing ends, and is no news': async (under) => {
    const [coordinator, other] = [await under.open(), await under.open()];
    const revision = await put(coordinator, { key: 'a', value: '1' });
    const news = watching(under, other, '', revision);
    const lease = await coordinator.grant(60_000);
    await lease.renew();
    await lease.end();
    await fails(lease.renew(), 'fenced');
    const next = await put(coordinator, { key: 'a', value: '2' });
    assert.deepEqual(await news.take(1), [[{ key: 'a', value: '2', revision: next }]]);
    await news.end();
  },
};
