/** Who is home to what at the end, as the coordinator's file says. */
import { openStore } from 'cardume/discovery/embedded/store';
import { HOMES, openHomes } from 'cardume/regions/homes';
import { placeOfKey } from 'cardume/topology/partition';
import { COORDINATOR } from '../plan.ts';
import { COORDINATOR_FILE, type World } from '../world.ts';

/** Home of a partition by service and key. */
export type HomeOf = (service: string, partition: number) => string;

export async function homesAt({ topology, machine }: World): Promise<HomeOf> {
  const { disk } = machine(COORDINATOR).process();
  const store = await openStore(disk, COORDINATOR_FILE);
  const homes = openHomes(topology);
  homes.learn(store.read(HOMES).values);
  store.close();
  return (service, partition) => homes.homeOf({ service, ...placeOfKey(partition) });
}
