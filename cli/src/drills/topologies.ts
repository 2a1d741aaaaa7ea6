/** The topologies of a drill's processes, made from the one that is drilled. Pure. */
import type { RegionName, Topology } from 'cardume/topology';
import { parseTopology } from 'cardume/topology/validate';

export type Durability = 'region' | 'cross-region';

export interface DrillTopology {
  /** Unique to the drill: its keys at a coordinator that others use too begin with it. */
  readonly name: string;
  /** Free: one for the edge, two a region, one for the coordinator. See `portsOf`. */
  readonly ports: readonly number[];
  /** Of all services; undefined: as they are. */
  readonly durability?: Durability | undefined;
  /** Members of an etcd that coordinates in place of the topology's own. */
  readonly etcd?: readonly string[] | undefined;
}

const LOOPBACK = '127.0.0.1';

export const portsOf = ({ regions }: Topology): number => 2 + 2 * Object.keys(regions).length;

/** @throws CardumeError `invalid-input` */
export function drillTopology(topology: Topology, drill: DrillTopology): Topology {
  const { name, durability, etcd } = drill;
  const ports = drill.ports[Symbol.iterator]();
  const port = (): number => ports.next().value as number;
  const services = Object.entries(topology.services).map(([service, of]) => {
    return [service, durability === undefined ? of : { ...of, durability }] as const;
  });
  return parseTopology({
    ...topology,
    name,
    edge: { host: LOOPBACK, port: port() },
    regions: Object.fromEntries(
      Object.entries(topology.regions).map(([region, of]) => {
        return [region, { ...of, host: LOOPBACK, port: port(), peerPort: port() }];
      }),
    ),
    services: Object.fromEntries(services),
    coordinator: coordinatorOf(topology, port(), etcd),
  });
}

function coordinatorOf({ coordinator }: Topology, port: number, etcd: DrillTopology['etcd']): unknown {
  if (etcd !== undefined)
    return { ...(coordinator?.engine === 'etcd' ? coordinator : {}), engine: 'etcd', endpoints: etcd };
  return coordinator?.engine === 'etcd' ? coordinator : { engine: 'embedded', host: LOOPBACK, port };
}

/** Whom a region reaches, and where. */
export interface Line {
  readonly from: RegionName;
  /** A region, or the coordinator: by `host:port` where it has members. */
  readonly to: string;
  readonly host: string;
  readonly port: number;
}

/** Every line on which a region reaches another one, or the coordinator. */
export function linesOf({ regions, coordinator }: Topology): readonly Line[] {
  return Object.keys(regions).flatMap((from) => {
    const others = Object.entries(regions)
      .filter(([to]) => to !== from)
      .map(([to, { host, peerPort }]): Line => ({ from, to, host, port: peerPort }));
    if (coordinator === undefined) return others;
    if (coordinator.engine === 'embedded') {
      const { host, port } = coordinator;
      return [...others, { from, to: 'coordinator', host, port }];
    }
    const members = coordinator.endpoints.map((to): Line => {
      const colon = to.lastIndexOf(':');
      return {
        from,
        to,
        host: to.slice(0, colon).replace(/^\[|\]$/g, ''),
        port: Number(to.slice(colon + 1)),
      };
    });
    return [...others, ...members];
  });
}

/** The topology as one region has to see it when its lines end at these ports. */
export function seenBy(
  topology: Topology,
  region: RegionName,
  portOf: (from: RegionName, to: string) => number,
): Topology {
  const { coordinator } = topology;
  const regions = Object.entries(topology.regions).map(([to, of]) => {
    return [to, to === region ? of : { ...of, peerPort: portOf(region, to) }] as const;
  });
  return {
    ...topology,
    regions: Object.fromEntries(regions),
    ...(coordinator?.engine === 'embedded'
      ? { coordinator: { ...coordinator, port: portOf(region, 'coordinator') } }
      : {}),
    ...(coordinator?.engine === 'etcd'
      ? {
          coordinator: {
            ...coordinator,
            endpoints: coordinator.endpoints.map((to) => `${LOOPBACK}:${portOf(region, to)}`),
          },
        }
      : {}),
  };
}
