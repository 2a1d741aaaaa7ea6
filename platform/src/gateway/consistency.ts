/**
 * `Cardume-Token` on a reply names what the reply rests on; sent back with a later request, that request sees at least
 * as much, wherever it is answered. Positions belong to a service's partitions, so the service's name goes with them.
 *
 * `Cardume-Max-Staleness-Ms` on a read says how old its answer may be; replicas may give it then.
 */
import { CardumeError } from '../base/errors.ts';
import type { Freshness } from '../sharding/query.ts';
import type { ServiceName } from '../topology/topology.ts';

export function consistencyHeader(service: ServiceName, token: string): string {
  return `${service}.${token}`;
}

const SHAPE = /^([a-z][a-z0-9-]{0,40})\.([0-9a-z-]{5,30})$/;

/** @throws CardumeError `invalid-input` */
export function parseConsistency(header: string): { readonly service: ServiceName; readonly token: string } {
  const match = SHAPE.exec(header);
  if (match === null) {
    const message = 'expected the `Cardume-Token` of an earlier reply';
    throw new CardumeError('invalid-input', message, {
      faults: [{ path: '/headers/cardume-token', message }],
    });
  }
  return { service: match[1] as string, token: match[2] as string };
}

const WHOLE = /^\d{1,9}$/;

/**
 * @param staleness the header of a read; undefined when there is none
 * @param seen the token beside it
 * @throws CardumeError `invalid-input`
 */
export function parseFreshness(staleness: unknown, seen: Freshness['seen']): Freshness | null {
  if (staleness === undefined) return null;
  if (typeof staleness === 'string' && WHOLE.test(staleness))
    return { maxStalenessMs: Number(staleness), seen: seen ?? null };
  const message = 'expected a whole number of milliseconds';
  throw new CardumeError('invalid-input', message, {
    faults: [{ path: '/headers/cardume-max-staleness-ms', message }],
  });
}
