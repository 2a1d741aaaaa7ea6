import assert from 'node:assert/strict';
import { test } from 'node:test';
import house from '../../cardume.config.ts';
import { moved } from './configuration.ts';
import { Failure } from './failure.ts';

test('all ports move together, and nothing else changes', () => {
  const there = moved(house, house.edge.port + 1_000);
  assert.equal(there.edge.port, house.edge.port + 1_000);
  for (const [name, region] of Object.entries(house.regions)) {
    assert.deepEqual(there.regions[name], {
      ...region,
      port: region.port + 1_000,
      peerPort: region.peerPort + 1_000,
    });
  }
  assert.deepEqual(moved(there, house.edge.port), house);
});

test('a port that leaves no room for the others is refused', () => {
  for (const port of [65_000, 65_535]) {
    assert.throws(
      () => moved(house, port),
      (error) => error instanceof Failure && error.exitCode === 2 && error.message.includes(String(port)),
    );
  }
});
