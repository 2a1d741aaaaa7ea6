import { isCardumeError } from '../base/errors.ts';
import type { Coordinator } from '../discovery/coordinator.ts';
import { partitionKey } from '../topology/partition.ts';
import type { RegionName, ServiceName } from '../topology/topology.ts';
import { type Homes, keyOfHome } from './homes.ts';
import { without } from './unclean.ts';

export interface ReturnedGround {
  readonly here: RegionName;
  readonly homes: Pick<Homes, 'find' | 'partitionsOf'>;
  readonly coordinator: Pick<Coordinator, 'change'>;
  readonly services: readonly ServiceName[];
  /** The region has a copy of the partition, whose home is here, and has nothing beyond it. */
  readonly follows: (region: RegionName, service: ServiceName, partition: number) => boolean;
}

/** Of lost homes that follow again nothing is unknown any more: what is at home here is clean of them. */
export async function settleReturned(ground: ReturnedGround): Promise<void> {
  const { here, homes, coordinator, services, follows } = ground;
  for (const partition of services.flatMap((service) => homes.partitionsOf(service, here))) {
    const { revision, unclean, ...home } = homes.find(partition);
    if (unclean === undefined) continue;
    const { service } = partition;
    const left = without(
      { unclean },
      (region) => region === here || follows(region, service, partitionKey(partition)),
    );
    if (left.unclean?.lost.length === unclean.lost.length) continue;
    const key = keyOfHome(partition);
    try {
      await coordinator.change([{ key, revision }], [{ key, value: JSON.stringify({ ...home, ...left }) }]);
    } catch (error) {
      if (!isCardumeError(error)) throw error; // the next look tries again
    }
  }
}
