/** What the coordinator says while a partition moves. The move of real regions is tried in the shop's `regions.api.test.ts`. */
import { deepStrictEqual, rejects, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import house from '../../../cardume.config.ts';
import { CardumeError } from '../base/errors.ts';
import type { Coordinator } from '../discovery/coordinator.ts';
import type { Head } from '../events/log.ts';
import type { Clock } from '../host/host.ts';
import { embeddedUnderTest } from '../testing/coordinator-embedded.ts';
import { simulation } from '../testing/simulated/host.ts';
import { type Partition, partitionKey } from '../topology/partition.ts';
import { type Home, keyOfHome, openHomes } from './homes.ts';
import { switchOver } from './switchover.ts';
import { openWatermarks } from './watermarks.ts';

const orders = (partition: number): Partition => ({ service: 'orders', scope: 1, partition });
const PARTITION = orders(3);
const KEY = keyOfHome(PARTITION);
const LEASE = 'leases/us-east';
const POSITION = 7;

type Change = Coordinator['change'];

/** The home that stands behind the move of one partition. */
async function moved(change: Changing): Promise<Home> {
  return (await movedAll([PARTITION], change)).home;
}

type Changing = (real: Change, hear: (home: Home) => Promise<unknown>, clock: Clock) => Change;

/**
 * us-east hands partitions to us-west, which has all of them; before, us-east took the first one over from eu-west, uncleanly.
 * @param change in place of the coordinator's, each time that the move calls it; `hear` puts a home there, and us-east hears of it
 * @returns how many have moved, and the first one's home
 */
async function movedAll(
  partitions: readonly Partition[],
  change: Changing,
): Promise<{ readonly count: number; readonly home: Home }> {
  const sim = simulation({ seed: 1 });
  const machine = sim.machine('us-east');
  const server = embeddedUnderTest({ host: machine, listen: 'us-east', path: '/coordinator.db' });
  async function run(): Promise<{ readonly count: number; readonly home: Home }> {
    const { clock } = machine;
    const real = await server.open();
    const homes = openHomes(house);
    const hear = async (home: Home): Promise<unknown> => {
      await real.change([], [{ key: KEY, value: JSON.stringify(home) }]);
      return homes.learn((await real.read(KEY)).values);
    };
    await hear({ region: 'us-east', term: 1, unclean: { term: 1, lost: ['eu-west'] } });
    const { revision } = await real.change([], [{ key: LEASE, value: '{}' }]);
    const watermarks = openWatermarks(clock, 1_000);
    for (const one of partitions) watermarks.acked('us-west', 'orders', partitionKey(one), POSITION);
    const headOf = (partition: number): Head => ({
      partition,
      epoch: 2 ** 20,
      lastEpoch: 2 ** 20,
      position: POSITION,
      checksum: new Uint8Array(32),
    });
    try {
      const { partitions: count } = await switchOver(
        {
          clock,
          isOver: () => false,
          here: 'us-east',
          coordinator: { ...real, change: change(real.change, hear, clock) },
          homes,
          watermarks,
          lease: () => ({ key: LEASE, revision }),
          shardOf: (_, partition) => ({
            log: { head: headOf, settled: async () => undefined },
            moving: { release: async () => ({ head: headOf(partition), checkpoints: [] }) },
          }),
          hold: () => () => undefined,
          learn: (values) => void homes.learn(values),
          inTurn: (_, work) => work(),
          handOver: async () => undefined,
        },
        'us-west',
        partitions,
      );
      const [standing] = (await real.read(KEY)).values;
      return { count, home: JSON.parse(standing?.value as string) as Home };
    } finally {
      await real.close();
    }
  }
  try {
    return await sim.run(run());
  } finally {
    await sim.run(server.close());
    sim.close();
  }
}

test('a note beside the home does not stop the move, and goes with it', async () => {
  let calls = 0;
  const home = await moved((real, hear) => async (conditions, changes) => {
    calls += 1;
    if (calls === 1) await hear({ region: 'us-east', term: 1 }); // eu-west follows again
    return real(conditions, changes);
  });
  deepStrictEqual([calls, home], [2, { region: 'us-west', term: 2 }]);
});

test('who is not answered asks until it is known what stands, and moves once', async () => {
  const lost = new CardumeError('unknown-outcome', 'no answer');
  for (const isDone of [true, false]) {
    let calls = 0;
    const home = await moved((real) => async (conditions, changes) => {
      calls += 1;
      if (calls > 2) return real(conditions, changes);
      if (isDone) await real(conditions, changes);
      throw calls === 1 ? lost : new CardumeError('partition-unavailable', 'away');
    });
    strictEqual(calls, 3);
    deepStrictEqual(home, { region: 'us-west', term: 2, unclean: { term: 1, lost: ['eu-west'] } });
  }
});

test('a later term stands, and a coordinator that was never reached leaves all as it was', async () => {
  for (const region of ['us-east', 'eu-west'])
    await rejects(
      moved((real, hear) => async (conditions, changes) => {
        await hear({ region, term: 2 });
        return real(conditions, changes);
      }),
      { code: 'conflict' },
    );
  // Also when it is heard of only before the next try.
  for (const home of [
    { region: 'eu-west', term: 2 },
    { region: 'eu-west', term: 3 },
    { region: 'us-east', term: 2 },
  ]) {
    let calls = 0;
    await rejects(
      moved((_, hear) => async () => {
        calls += 1;
        await hear(home);
        throw new CardumeError('unknown-outcome', 'no answer');
      }),
      { code: 'conflict' },
    );
    strictEqual(calls, 1);
  }
  await rejects(
    moved((real) => async (conditions, changes) => {
      await real([], [{ key: LEASE, value: '{"instance":"another"}' }]);
      return real(conditions, changes);
    }),
    { code: 'conflict' },
    'another process has the lease',
  );
  const away = new CardumeError('partition-unavailable', 'away');
  await rejects(
    moved(() => async () => {
      throw away;
    }),
    away,
  );
});

test('over long lines the first ones move, and who asked asks again for the others', async () => {
  const all = Array.from({ length: 16 }, (_, partition) => orders((partition + 3) % 16));
  for (const [tookMs, moves] of [
    [10, 16],
    [2_000, 8],
  ] as const) {
    const { count, home } = await movedAll(all, (real, _, clock) => async (conditions, changes) => {
      await clock.sleep(tookMs);
      return real(conditions, changes);
    });
    deepStrictEqual([count, home.region], [moves, 'us-west']);
  }
});
