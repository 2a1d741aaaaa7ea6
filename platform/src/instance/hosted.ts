/** The shards that this instance hosts, by service and partition. */
import { CardumeError } from '../base/errors.ts';
import type { Place } from '../base/id.ts';
import { tablesOf } from '../cqrs/projection.ts';
import type { Service } from '../cqrs/service.ts';
import type { Shard } from '../cqrs/shard.ts';
import type { Table } from '../sharding/table.ts';
import { partitionKey } from '../topology/partition.ts';

export interface Hosted {
  add(service: string, name: string, partitions: readonly number[], shard: Shard): void;
  /** Undefined when it is not hosted here. */
  find(service: string, partition: number): Shard | undefined;
  /** @throws CardumeError `partition-unavailable` when it is not hosted here */
  shardOf(service: string, partition: number): Shard;
  shardNamed(service: string, name: string): Shard;
  hosts(service: string, place: Place): boolean;
  all(): readonly Shard[];
}

export function hostedShards(): Hosted {
  const byPartition = new Map<string, Map<number, Shard>>();
  const byName = new Map<string, Shard>();
  return {
    add(service, name, partitions, shard) {
      byName.set(`${service}/${name}`, shard);
      const own = byPartition.get(service) ?? new Map<number, Shard>();
      byPartition.set(service, own);
      for (const partition of partitions) own.set(partition, shard);
    },
    find: (service, partition) => byPartition.get(service)?.get(partition),
    shardOf(service, partition) {
      const shard = byPartition.get(service)?.get(partition);
      if (shard === undefined) {
        throw new CardumeError(
          'partition-unavailable',
          `partition ${partition} of '${service}' is not hosted here`,
        );
      }
      return shard;
    },
    shardNamed(service, name) {
      const shard = byName.get(`${service}/${name}`);
      if (shard === undefined)
        throw new CardumeError('partition-unavailable', `shard '${name}' is not hosted here`);
      return shard;
    },
    hosts: (service, place) => byPartition.get(service)?.has(partitionKey(place)) ?? false,
    all: () => [...byName.values()],
  };
}

/** Tables of all services by `<service>/<table>`. */
export function tableIndex(services: readonly Service[]): ReadonlyMap<string, Table> {
  const tables = new Map<string, Table>();
  for (const service of services) {
    for (const table of tablesOf(service.projections)) tables.set(`${service.name}/${table.name}`, table);
  }
  return tables;
}
