/** Whom a steward asks, and whom it names, where policies let some regions alone be home. */
import { deepStrictEqual, match, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import house from '../../../cardume.config.ts';
import { CardumeError } from '../base/errors.ts';
import { embeddedUnderTest } from '../testing/coordinator-embedded.ts';
import { simulation } from '../testing/simulated/host.ts';
import { residencyIn } from '../topology/residency.ts';
import type { ResidencyPolicy, Topology } from '../topology/topology.ts';
import { type FenceRequest, openFailover } from './failover.ts';
import { HOMES, type Home, openHomes } from './homes.ts';

const EU = 3 * 1024;
const KEY = `${HOMES}users/${EU}`;
const LOST = 'eu-west';
const REGIONS = ['us-east', 'us-west', LOST];

interface Outcome {
  /** Who is home to the one partition of eu-west. */
  readonly home: Home | null;
  /** Regions that were asked to fence it. */
  readonly fenced: readonly string[];
  readonly reports: readonly (readonly [message: string, fields: Readonly<Record<string, unknown>>])[];
}

/**
 * eu-west is lost; us-east is the steward.
 * @param positions where the copy of each region stands; null: the region cannot be asked
 */
async function lost(
  policy: ResidencyPolicy,
  positions: Readonly<Record<string, number | null>>,
  isAwaited = false,
): Promise<Outcome> {
  const users = { partitions: 1, globalPartitions: 0, shards: 1, residency: { [LOST]: policy } };
  const topology: Topology = { ...house, services: { users } };
  const sim = simulation({ seed: 1 });
  const machine = sim.machine('us-east');
  const server = embeddedUnderTest({ host: machine, listen: 'us-east', path: '/coordinator.db' });
  const fenced = new Set<string>();
  const reports: Outcome['reports'][number][] = [];
  async function run(): Promise<Home | null> {
    const coordinator = await server.open();
    const lease = await coordinator.grant(600_000);
    for (const region of ['us-east', 'us-west'])
      await coordinator.change([], [{ key: `leases/${region}`, value: '{}', lease: lease.id }]);
    const failover = openFailover({
      clock: machine.clock,
      here: 'us-east',
      regions: REGIONS,
      coordinator,
      homes: openHomes(topology),
      residency: residencyIn(topology),
      leaseId: () => lease.id,
      hasMet: () => true,
      seesLost: async () => true,
      async fence(region, request: FenceRequest) {
        const position = positions[region];
        if (request.length > 0) fenced.add(region);
        if (position == null) throw new CardumeError('partition-unavailable', `${region} is away`);
        return request.map(([service, partition]) => [service, partition, 1, position] as const);
      },
      isAwaited: () => isAwaited,
      report: (message, fields) => void reports.push([message, fields]),
    });
    await machine.clock.sleep(5_000);
    await failover.close();
    const { values } = await coordinator.read(KEY);
    await coordinator.close();
    return values.length === 0 ? null : (JSON.parse(values[0]?.value as string) as Home);
  }
  const home = await sim.run(run());
  await sim.run(server.close());
  sim.close();
  return { home, fenced: [...fenced].sort(), reports };
}

test('a sealed copy is not named, however far it is, nor asked: what it has more was never told', async () => {
  const policy = { regions: [LOST, 'us-west'], elsewhere: 'sealed' } as const;
  for (const isAwaited of [true, false]) {
    const { home, fenced } = await lost(policy, { 'us-east': 9, 'us-west': 5 }, isAwaited);
    // Where answers did not wait, what the lost home told may be unknown to the new one.
    const unclean = isAwaited ? {} : { unclean: { term: 1, lost: [LOST] } };
    deepStrictEqual(home, { region: 'us-west', term: 1, ...unclean });
    deepStrictEqual(fenced, ['us-west']);
  }
});

test('of those that may be home the furthest is named, and answers that waited need all of them', async () => {
  const policy = { regions: [...REGIONS], elsewhere: 'nothing' } as const;
  strictEqual((await lost(policy, { 'us-east': 9, 'us-west': 5 })).home?.region, 'us-east');
  strictEqual((await lost(policy, { 'us-east': 9, 'us-west': null }, false)).home?.region, 'us-east');
  const { home, reports } = await lost(policy, { 'us-east': 9, 'us-west': null }, true);
  strictEqual(home, null);
  match(reports.map(([message]) => message).join(), /^partitions of a lost region stay unavailable/);
});

test('where no other may be home the partition waits for its region, and the log says why, once', async () => {
  for (const elsewhere of ['sealed', 'nothing'] as const) {
    const { home, fenced, reports } = await lost(
      { regions: [LOST], elsewhere },
      { 'us-east': 9, 'us-west': 9 },
    );
    deepStrictEqual([home, fenced], [null, []]);
    deepStrictEqual(reports, [
      [
        'partitions of a lost region wait for it: no other may be home to them',
        {
          lost: LOST,
          partitions: 1,
          policies: ["'users' of eu-west may be at home in eu-west alone: the topology's residency says so"],
        },
      ],
    ]);
  }
});
