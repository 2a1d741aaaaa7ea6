import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from 'cardume/base';
import config from '../../../cardume.config.ts';
import { drillTopology, linesOf, portsOf, seenBy } from './topologies.ts';

const ports = Array.from({ length: portsOf(config) }, (_, i) => 20_000 + i);
const drill = { name: 'drill-1', ports };

test('a platform of its own: name, ports and durability are the drill`s, all else stays', () => {
  const topology = drillTopology(config, { ...drill, durability: 'cross-region' });
  equal(topology.name, 'drill-1');
  const used = [
    topology.edge.port,
    ...Object.values(topology.regions).flatMap(({ port, peerPort }) => [port, peerPort]),
    (topology.coordinator as { port: number }).port,
  ];
  deepEqual(used, ports);
  deepEqual(
    Object.values(topology.services).map(({ durability }) => durability),
    ['cross-region', 'cross-region', 'cross-region'],
  );
  deepEqual(Object.keys(topology.regions), Object.keys(config.regions));
  deepEqual(topology.bounds, config.bounds);
  deepEqual(drillTopology(config, drill).services, config.services);
});

test('members of an etcd take the place of the coordinator', () => {
  const { coordinator } = drillTopology(config, { ...drill, etcd: ['127.0.0.1:2379', '127.0.0.1:2479'] });
  deepEqual(coordinator, { engine: 'etcd', endpoints: ['127.0.0.1:2379', '127.0.0.1:2479'] });
  throws(
    () => drillTopology(config, { ...drill, etcd: ['nowhere'] }),
    (error) => isCardumeError(error, 'invalid-input') && /host|address/.test(error.message),
  );
});

test('every line has an end of its own, and a region sees those of its own lines alone', () => {
  for (const etcd of [undefined, ['127.0.0.1:2379', '127.0.0.1:2479']]) {
    const topology = drillTopology(config, { ...drill, etcd });
    const lines = linesOf(topology);
    equal(lines.length, 3 * (2 + (etcd?.length ?? 1)));
    const portOf = (from: string, to: string): number =>
      30_000 + lines.findIndex((line) => line.from === from && line.to === to);
    const seen = seenBy(topology, 'us-west', portOf);
    equal(
      seen.regions['us-west']?.peerPort,
      topology.regions['us-west']?.peerPort,
      'where it listens itself',
    );
    const ends = [
      ...['us-east', 'eu-west'].map((to) => [to, seen.regions[to]?.peerPort]),
      ...(seen.coordinator?.engine === 'etcd'
        ? seen.coordinator.endpoints.map((endpoint, i) => [etcd?.[i], Number(endpoint.split(':')[1])])
        : [['coordinator', seen.coordinator?.port]]),
    ];
    for (const [to, port] of ends) equal(port, portOf('us-west', to as string));
    equal(new Set(ends.map(([, port]) => port)).size, ends.length);
  }
});
