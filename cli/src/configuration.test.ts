import assert from 'node:assert/strict';
import { test } from 'node:test';
import house from '../../cardume.config.ts';
import { moved } from './configuration.ts';
import { Failure } from './failure.ts';

test('all ports move together, and nothing else changes', () => {
  const there = moved(house, house.edge.port + 1_000);
  const dns = { ...house.edge.dns, port: (house.edge.dns?.port ?? 0) + 1_000 };
  assert.deepEqual(there.edge, { ...house.edge, port: house.edge.port + 1_000, dns });
  for (const [name, region] of Object.entries(house.regions)) {
    assert.deepEqual(there.regions[name], {
      ...region,
      port: region.port + 1_000,
      peerPort: region.peerPort + 1_000,
    });
  }
  assert.deepEqual(moved(there, house.edge.port), house);
  const without = { ...house, edge: { host: house.edge.host, port: house.edge.port } };
  assert.deepEqual(moved(without, 9_000).edge, { ...without.edge, port: 9_000 });
});

test('a port that leaves no room for the others is refused', () => {
  for (const port of [65_000, 65_535]) {
    assert.throws(
      () => moved(house, port),
      (error) => error instanceof Failure && error.exitCode === 2 && error.message.includes(String(port)),
    );
  }
});
