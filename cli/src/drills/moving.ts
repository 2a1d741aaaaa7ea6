/** Planned moves between regions, as operators ask for them. */
import type { RegionName } from 'cardume/topology';
import type { Clients } from './clients.ts';
import { bodyOf } from './stage.ts';

const TRIES_MAX = 10;

/**
 * @param bornIn only what the topology gives to this region
 * @returns how many partitions moved with the last request
 * @throws Failure when some could not
 */
export async function switchOver(
  clients: Clients,
  from: RegionName,
  to: RegionName,
  bornIn?: RegionName,
): Promise<number> {
  // Those before one that could not move have moved: asked again, the others do.
  for (let tries = 1; ; tries += 1) {
    const path = `/operators/regions/${from}/switchover`;
    const body = { to, ...(bornIn === undefined ? {} : { born_in: bornIn }) };
    const answered = await clients.sendUnseen({ method: 'POST', path, body });
    if (answered?.status === 409 && tries < TRIES_MAX) continue;
    return (bodyOf(answered, `Switchover from ${from} to ${to}`) as { readonly partitions: number })
      .partitions;
  }
}
