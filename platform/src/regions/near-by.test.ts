import { strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import house from '../../../cardume.config.ts';
import { encodeToken } from '../events/token.ts';
import type { Freshness } from '../sharding/query.ts';
import { residencyIn } from '../topology/residency.ts';
import type { ResidencyPolicy, ServiceTopology, Topology } from '../topology/topology.ts';
import { openHomes } from './homes.ts';
import { areFresh } from './near-by.ts';

const EU = 3 * 1024;
const US = 1 * 1024;
const WEST = 2 * 1024;
const NOW_MS = 10_000;
const HELD_MS = NOW_MS - 500;

/** Copies here, in us-east, have five entries each, and are as of a second ago; that of us-west's is of no known age. */
function areFreshHere(
  partitions: readonly number[],
  freshness: Freshness,
  policy?: ResidencyPolicy,
): boolean {
  const users: ServiceTopology = {
    ...(house.services['users'] as ServiceTopology),
    ...(policy === undefined ? {} : { residency: { 'eu-west': policy } }),
  };
  const topology: Topology = { ...house, services: { ...house.services, users } };
  return areFresh(
    {
      clock: { monotonicMs: () => NOW_MS },
      here: 'us-east',
      homes: openHomes(topology),
      residency: residencyIn(topology),
      isOpen: (_service, partition) => partition === US,
      heldAt: (ms) => ms <= HELD_MS,
      copyOf: (home) => ({ position: 5, asOfMs: home === 'us-west' ? null : NOW_MS - 1_000 }),
    },
    'users',
    partitions,
    freshness,
  );
}

const old = (maxStalenessMs: number): Freshness => ({ maxStalenessMs, seen: null });

test('homes that are open here and copies of a known age answer, as long as none is older than is asked for', () => {
  strictEqual(areFreshHere([US, EU], old(1_000)), true);
  strictEqual(areFreshHere([US, EU], old(999)), false);
  strictEqual(areFreshHere([US, US + 1], old(60_000)), false);
  strictEqual(areFreshHere([US], old(500)), true);
  strictEqual(areFreshHere([US, WEST], old(60_000)), false);
});

test('a home whose lease has run out is as old as that', () => {
  strictEqual(areFreshHere([US], old(499)), false);
});

test('what a token names is in the copy, or the home is asked', () => {
  const seen = (position: number): Freshness => ({
    maxStalenessMs: 60_000,
    seen: { service: 'users', token: encodeToken({ partition: EU, epoch: 1, position }) },
  });
  strictEqual(areFreshHere([EU], seen(5)), true);
  strictEqual(areFreshHere([EU], seen(6)), false);
  strictEqual(areFreshHere([US], seen(6)), true);
});

test('a copy that is not whole answers nothing, however fresh it is', () => {
  for (const elsewhere of ['sealed', 'nothing'] as const) {
    strictEqual(areFreshHere([US, EU], old(60_000), { regions: ['eu-west'], elsewhere }), false);
    strictEqual(areFreshHere([US, EU], old(60_000), { regions: ['eu-west', 'us-east'], elsewhere }), true);
    strictEqual(areFreshHere([US], old(60_000), { regions: ['eu-west'], elsewhere }), true);
  }
});
