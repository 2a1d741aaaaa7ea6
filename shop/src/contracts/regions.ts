import type { Place } from 'cardume/base/id';
import type { Geography } from 'cardume/gateway/operation';
import { invalid } from './faults.ts';

/** @param path JSON pointer of the name. @throws CardumeError `invalid-input` */
export function knownRegion({ regions }: Geography, name: string, path: string): string {
  if (!regions.includes(name)) throw invalid(path, `expected a region: ${regions.join(', ')}`);
  return name;
}

/** The partition of a key in the region where something else was born; stays the same when homes move. */
export function placeBeside(geography: Geography, service: string, born: Place, key: string): Place {
  const { partition } = geography.placeInRegion(service, geography.here, key);
  return { scope: born.scope, partition };
}
