/** The drills: what each strikes, how it heals, and what must be kept to. */
import { LEASE_TTL_MS } from 'cardume/regions/regions';
import type { RegionName, Topology } from 'cardume/topology';
import { Failure, WRONG_USE } from '../failure.ts';
import type { Clients } from './clients.ts';
import { COORDINATOR, type Grounds } from './grounds.ts';
import type { Limits } from './measures.ts';
import { switchOver } from './moving.ts';
import { type WriteKind, writeKinds } from './record.ts';
import type { Durability } from './topologies.ts';

export interface Drill {
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  /** What is struck: one region, or what all regions need. */
  readonly strikes: 'region' | 'all';
  /** Lines between regions, and to the coordinator, run through the drill. */
  readonly withLines: (topology: Topology) => boolean;
  /** Of these lines, there and back, from the beginning, when nothing else is asked for. Left out: 0. */
  readonly roundTripMs?: number;
  /** What recovery counts from: the fault, or its end where writes have to wait for that. */
  readonly from: 'struck' | 'healed';
  /** Until it heals, when nothing else is asked for. */
  readonly downS: number;
  readonly struckText: (region: RegionName) => string;
  readonly healedText: (region: RegionName) => string;
  strike(grounds: Grounds, region: RegionName, clients: Clients): void | Promise<void>;
  /** Resolves when what was struck is ready again. */
  heal(grounds: Grounds, region: RegionName): Promise<void>;
}

/** Added each way. */
const SLOW_MS = 50;
/** Between regions that are far from each other, there and back. */
const FAR_MS = 100;

function linesAt({ lines }: Grounds, region: RegionName): Grounds['lines'] {
  return lines.filter(({ from, to }) => from === region || to === region);
}

const linesToCoordinator = ({ lines, topology }: Grounds): Grounds['lines'] =>
  lines.filter(({ to }) => topology.regions[to] === undefined);

export const drills: readonly Drill[] = [
  {
    name: 'region-loss',
    about: 'kill -9 of a region, which stays down for a while: others take over, and give back.',
    strikes: 'region',
    withLines: () => false,
    from: 'struck',
    downS: 8,
    struckText: (region) => `${region} is killed (kill -9)`,
    healedText: (region) => `${region} is started again`,
    strike(grounds, region) {
      grounds.holdDown(region, true);
      grounds.kill(region);
    },
    async heal(grounds, region) {
      grounds.holdDown(region, false);
      await grounds.readyAgain(region);
    },
  },
  {
    name: 'process-kill',
    about: "kill -9 of a region's process, which its supervisor starts again at once.",
    strikes: 'region',
    withLines: () => false,
    from: 'struck',
    downS: 0,
    struckText: (region) => `the process of ${region} is killed (kill -9)`,
    healedText: () => 'its supervisor starts it again',
    strike: (grounds, region) => grounds.kill(region),
    heal: (grounds, region) => grounds.readyAgain(region),
  },
  {
    name: 'coordinator-loss',
    about:
      'kill -9 of the embedded coordinator, or no line to any etcd, for longer than leases last: regions stop writing, then go on.',
    strikes: 'all',
    withLines: ({ coordinator }) => coordinator?.engine === 'etcd',
    from: 'healed',
    downS: 8,
    struckText: () => 'the coordinator is lost',
    healedText: () => 'the coordinator is back',
    strike(grounds) {
      for (const { line } of linesToCoordinator(grounds)) line.setCut(true);
      if (grounds.topology.coordinator?.engine !== 'embedded') return;
      grounds.holdDown(COORDINATOR, true);
      grounds.kill(COORDINATOR);
    },
    async heal(grounds) {
      for (const { line } of linesToCoordinator(grounds)) line.setCut(false);
      if (grounds.topology.coordinator?.engine !== 'embedded') return;
      grounds.holdDown(COORDINATOR, false);
      await grounds.readyAgain(COORDINATOR);
    },
  },
  {
    name: 'partition',
    about: 'A region is cut off from the others and from the coordinator; clients still reach it.',
    strikes: 'region',
    withLines: () => true,
    from: 'struck',
    downS: 8,
    struckText: (region) => `${region} is cut off from the others and from the coordinator`,
    healedText: (region) => `the lines of ${region} are whole again`,
    strike(grounds, region) {
      for (const { line } of linesAt(grounds, region)) line.setCut(true);
    },
    async heal(grounds, region) {
      for (const { line } of linesAt(grounds, region)) line.setCut(false);
    },
  },
  {
    name: 'slow-link',
    about: `All lines between regions, and to the coordinator, take ${SLOW_MS} ms longer each way for a while.`,
    strikes: 'all',
    withLines: () => true,
    from: 'struck',
    downS: 8,
    struckText: () => `all lines between regions take ${SLOW_MS} ms longer each way`,
    healedText: () => 'the lines are as fast as before',
    strike(grounds) {
      for (const { line } of grounds.lines) line.setDelay(grounds.delayMs + SLOW_MS);
    },
    async heal(grounds) {
      for (const { line } of grounds.lines) line.setDelay(grounds.delayMs);
    },
  },
  {
    name: 'full-disk',
    about:
      'A region cannot write its files for a while (RLIMIT_FSIZE): it refuses writes, and goes on when it can.',
    strikes: 'region',
    withLines: () => false,
    from: 'healed',
    downS: 5,
    struckText: (region) => `the disk of ${region} takes nothing more`,
    healedText: (region) => `the disk of ${region} has room again`,
    strike: (grounds, region) => grounds.setDiskFull(region, true),
    heal: (grounds, region) => grounds.setDiskFull(region, false),
  },
  {
    name: 'switchover',
    about: `A planned move of all that is at home in a region, on lines of ${FAR_MS} ms there and back, and the way back.`,
    strikes: 'region',
    withLines: () => true,
    roundTripMs: FAR_MS,
    from: 'struck',
    downS: 3,
    struckText: (region) => `all that is at home in ${region} is to move`,
    healedText: (region) => `${region} may have it back`,
    async strike({ topology }, region, clients) {
      const to = Object.keys(topology.regions).find((other) => other !== region) as RegionName;
      await switchOver(clients, region, to);
    },
    async heal() {},
  },
];

/** Why some drills of the architecture's list are not here. */
export const leftOut: readonly (readonly [name: string, why: string])[] = [
  [
    'clock-jump',
    'the clocks of a process cannot be moved here without libfaketime; the simulation moves them (docs/simulation.md)',
  ],
];

export function findDrill(name: string): Drill {
  const found = drills.find((drill) => drill.name === name);
  if (found !== undefined) return found;
  const why = leftOut.find(([left]) => left === name)?.[1];
  throw new Failure(
    why === undefined ? `There is no drill '${name}'.` : `There is no drill '${name}': ${why}.`,
    `Drills are ${drills.map((drill) => drill.name).join(', ')}.`,
    WRONG_USE,
  );
}

/** What callers of one partition may wait beyond the usual when it moves as planned. */
const PAUSE_MS_MAX = 1_000;
const RTO_MS_MAX = { embedded: 5_000, etcd: 10_000 };
const RPO_MS_MAX: Readonly<Record<Durability, number>> = { region: 1_000, 'cross-region': 0 };
/** Where the writes of each class stand; null: in the global space, which is always durable in two regions. */
const SERVICES: Readonly<Record<WriteKind, string | null>> = {
  order: 'orders',
  user: 'users',
  stock: 'products',
  claim: null,
  product: null,
};

/** Only where others take a region over may a write be lost. */
export function limitsOf({ name }: Pick<Drill, 'name'>, { coordinator, services }: Topology): Limits {
  const isTakenOver = name === 'region-loss' || name === 'partition';
  const mostOf = (kind: WriteKind): number => {
    const service = SERVICES[kind];
    return isTakenOver && service !== null ? RPO_MS_MAX[services[service]?.durability ?? 'region'] : 0;
  };
  const rpoMsMax = Object.fromEntries(writeKinds.map((kind) => [kind, mostOf(kind)]));
  return {
    rtoMsMax: RTO_MS_MAX[coordinator?.engine ?? 'embedded'],
    rpoMsMax: rpoMsMax as Limits['rpoMsMax'],
    lostBehindMsMax: LEASE_TTL_MS,
    mustStop: name === 'coordinator-loss',
    pauseMsMax: name === 'switchover' ? PAUSE_MS_MAX : null,
  };
}
