/** Where new things are born and natural keys are at home: pure functions of the topology. */
import { assert } from '../base/assert.ts';
import { CardumeError } from '../base/errors.ts';
import type { Place } from '../base/id.ts';
import type { Placement } from '../topology/partition.ts';
import { staticPlacement } from '../topology/placement.ts';
import type { RegionName, ServiceName, Topology } from '../topology/topology.ts';
import { partitionOfSlot, slotOf } from './slot.ts';

/** The same as the gateway's `Geography`, which stands above this floor. */
export interface Geography {
  readonly here: RegionName;
  readonly regions: readonly RegionName[];
  /** The region that lists the country, else the one for all others. */
  regionOfCountry(country: string): RegionName;
  /** @throws CardumeError `invalid-input` for an unknown region */
  placeInRegion(service: ServiceName, region: RegionName, key: string): Place;
  placeInGlobal(service: ServiceName, key: string): Place;
  /** @throws CardumeError `not-found` for a place that the topology does not have */
  regionOfPlace(service: ServiceName, place: Place): RegionName;
}

/** `placement` answers `regionOfPlace`: homes move, the other functions never change their answers. */
export function geography(
  topology: Topology,
  here: RegionName,
  placement: Placement = staticPlacement(topology),
): Geography {
  const regionByCountry = new Map<string, RegionName>();
  for (const [region, { countries }] of Object.entries(topology.regions)) {
    for (const country of countries) regionByCountry.set(country, region);
  }
  const elsewhere = regionByCountry.get('*');
  assert(elsewhere !== undefined, "one region lists '*'");
  assert(Object.hasOwn(topology.regions, here), `'${here}' is a region`);

  function serviceOf(name: ServiceName): Topology['services'][string] {
    const service = topology.services[name];
    assert(service !== undefined, `'${name}' is a service of the topology`);
    return service;
  }

  return {
    here,
    regions: Object.keys(topology.regions),
    regionOfCountry: (country) => regionByCountry.get(country) ?? elsewhere,
    placeInRegion(service, region, key) {
      const code = Object.hasOwn(topology.regions, region) ? topology.regions[region]?.code : undefined;
      if (code === undefined) {
        const names = Object.keys(topology.regions).join(', ');
        throw new CardumeError(
          'invalid-input',
          `there is no region '${region.slice(0, 40)}'; there are ${names}`,
        );
      }
      return { scope: code, partition: partitionOfSlot(slotOf(key), serviceOf(service).partitions) };
    },
    placeInGlobal(service, key) {
      const { globalPartitions } = serviceOf(service);
      assert(globalPartitions > 0, `the service '${service}' has a global space`);
      return { scope: 0, partition: partitionOfSlot(slotOf(key), globalPartitions) };
    },
    regionOfPlace: (service, place) =>
      placement.homeOf({ service, scope: place.scope, partition: place.partition }),
  };
}
