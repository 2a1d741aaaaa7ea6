import { deepStrictEqual, match, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import house from '../../../cardume.config.ts';
import { forfeitsOf, residencyIn } from './residency.ts';
import type { ResidencyPolicy, ServiceTopology, Topology } from './topology.ts';

const EU = 3 * 1024 + 5;
const US = 1 * 1024 + 5;
const GLOBAL = 5;

function withPolicy(policy: ResidencyPolicy, more: Partial<ServiceTopology> = {}): Topology {
  const users = {
    ...(house.services['users'] as ServiceTopology),
    ...more,
    residency: { 'eu-west': policy },
  };
  return { ...house, services: { ...house.services, users } };
}

const sentences = (topology: Topology): string[] => forfeitsOf(topology).map(({ sentence }) => sentence);

test('a policy is of the partitions that are born in its region, and of no others', () => {
  const { holding, homes } = residencyIn(withPolicy({ regions: ['eu-west'], elsewhere: 'sealed' }));
  strictEqual(holding('users', EU, 'eu-west'), 'whole');
  strictEqual(holding('users', EU, 'us-east'), 'sealed');
  deepStrictEqual(homes('users', EU), ['eu-west']);
  for (const [service, partition] of [
    ['users', US],
    ['users', GLOBAL],
    ['orders', EU],
  ] as const) {
    strictEqual(holding(service, partition, 'us-west'), 'whole');
    deepStrictEqual(homes(service, partition), ['us-east', 'us-west', 'eu-west']);
  }
});

test('a second disk is one that could take the home`s place; where none could, a sealed one', () => {
  const seconds = (policy: ResidencyPolicy, home: string, partition = EU): readonly string[] =>
    residencyIn(withPolicy(policy)).seconds('users', partition, home);
  const alone = ['eu-west'];
  const two = ['eu-west', 'us-west'];
  deepStrictEqual(seconds({ regions: alone, elsewhere: 'nothing' }, 'eu-west'), []);
  deepStrictEqual(seconds({ regions: alone, elsewhere: 'sealed' }, 'eu-west'), ['us-east', 'us-west']);
  for (const elsewhere of ['nothing', 'sealed'] as const) {
    deepStrictEqual(seconds({ regions: two, elsewhere }, 'eu-west'), ['us-west']);
    deepStrictEqual(seconds({ regions: two, elsewhere }, 'us-west'), ['eu-west']);
    deepStrictEqual(seconds({ regions: two, elsewhere }, 'us-east', US), ['us-west', 'eu-west']);
  }
});

test('what a policy forfeits is said in one sentence', () => {
  deepStrictEqual(sentences(withPolicy({ regions: ['eu-west'], elsewhere: 'nothing' })), [
    'users of eu-west: held by eu-west alone; forfeits cross-region durability and failover: while eu-west is away they are unavailable, and if it loses its disk they are lost.',
  ]);
  deepStrictEqual(sentences(withPolicy({ regions: ['eu-west'], elsewhere: 'sealed' })), [
    'users of eu-west: held by eu-west, and sealed by us-east, us-west; forfeits failover: while eu-west is away they are unavailable, and if it loses its disk their personal fields are lost, and nothing brings the rest back by itself.',
  ]);
  const two = ['eu-west', 'us-west'];
  deepStrictEqual(sentences(withPolicy({ regions: two, elsewhere: 'nothing' })), [
    'users of eu-west: held by eu-west, us-west alone; forfeits copies in us-east: while all of eu-west, us-west are away they are unavailable.',
  ]);
  const [across] = sentences(
    withPolicy({ regions: two, elsewhere: 'sealed' }, { durability: 'cross-region' }),
  );
  match(across ?? '', /failover to us-east, which counts as no second disk: .*away they take no writes\.$/);
  match(
    sentences(withPolicy({ regions: Object.keys(house.regions), elsewhere: 'nothing' })).join(),
    /forfeits nothing/,
  );
  deepStrictEqual(sentences(house), []);
  const { coordinator: _, ...apart } = withPolicy({ regions: two, elsewhere: 'nothing' });
  deepStrictEqual(sentences(apart), []);
});
