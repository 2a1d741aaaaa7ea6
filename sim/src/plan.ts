/**
 * What a seed means: the cluster, its clients and the faults that befall it, drawn before anything runs. Each seed
 * draws its own mix (swarm testing, Groce et al. 2012): some kinds of faults never happen in it and others often, since
 * a run with a little of everything hides what one fault alone would show.
 *
 * Every part draws from a stream of its own, so that leaving out a fault or a client leaves the others as they were:
 * that is what `shrink` needs.
 */
import { type RandomStream, randomStream } from 'cardume/testing/simulated/stream';

/** Where regions take over from each other, one of these at a time. */
export const lossKinds = [
  /** A region is away for longer than its lease: others take over what it had. */
  'lost',
  /** So are two, one after the other, and the third was behind: it must not pass for all that is left. */
  'lost-pair',
  /** A region reaches nobody but its clients for longer than its lease, or stands still, and lives on: it is replaced unawares. */
  'stranded',
  /** A process stands still while its partitions leave the region, come back, and move between shards beside it. */
  'usurped',
] as const;
export type LossKind = (typeof lossKinds)[number];

export const faultKinds = [
  /** The power of a machine fails: what was not synced is lost, torn or there. */
  'power',
  /** The power fails in the middle of a commit, at one of its writes or syncs. */
  'power-in-commit',
  /** `kill -9`: the process ends, the system keeps what was written. */
  'kill',
  /** The instance is stopped in order and started again, as by a deployment. */
  'restart',
  /** A process stands still and goes on. */
  'pause',
  /** A process stands still, another takes its place, and then it goes on beside it. */
  'replace',
  /** A writer or reader thread ends with an error. */
  'thread',
  /** Nothing passes between two machines, both ways or one. */
  'partition',
  /** Connections break in the middle of a message. */
  'disconnect',
  /** A slow link. */
  'clog',
  /** A wall clock jumps, forward or back. */
  'clock',
  /** The disk is full for a while. */
  'disk-full',
  /** Some writes or syncs fail. */
  'disk-write',
  /** Some reads fail. */
  'disk-read',
  /** Syncs take tens of milliseconds. */
  'disk-slow',
  /** The payment provider does not answer. */
  'bank-down',
  ...lossKinds,
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface Fault {
  /** Place in the plan: what the command line calls it. */
  readonly number: number;
  /** From the beginning of the faults. */
  readonly atMs: number;
  readonly kind: FaultKind;
  /** The machine that it befalls. */
  readonly region: string;
  /** The machine at the other end, where there is one. */
  readonly peer: string;
  readonly forMs: number;
  /** 0 to 1: how much of whatever the kind has more or less of. */
  readonly amount: number;
}

export interface Plan {
  readonly seed: number;
  readonly regions: readonly string[];
  readonly partitions: number;
  readonly globalPartitions: number;
  readonly ordersShards: number;
  /** Of each shard: files that answer who is content with something old. */
  readonly replicas: number;
  readonly writerThreads: number;
  readonly batchEntriesMax: number;
  readonly snapshotEveryEvents: number;
  readonly aggregatesCachedMax: number;
  readonly customers: number;
  /** Requests that one customer has under way. */
  readonly handsPerCustomer: number;
  readonly staff: number;
  readonly products: number;
  /** Pieces of each product in each region at the beginning. */
  readonly stock: number;
  /** What a sync of a disk that is well takes, on average. */
  readonly syncUs: number;
  /** A region whose syncs take many times that: its copies are behind. */
  readonly slowRegion: string | null;
  /** How far regions are from each other, one way. */
  readonly apartMs: number;
  /** Regions follow each other, agree by a coordinator, and take over from each other. */
  readonly isCoordinated: boolean;
  /** Services whose acknowledgements wait for no other region, though others follow: what they told may be lost with one. */
  readonly alone: readonly ('orders' | 'products')[];
  /** An operator moves partitions between shards all the while. */
  readonly isResharded: boolean;
  /** Customers place orders and do nothing else: for measuring. */
  readonly isRush: boolean;
  /** Between two things that a customer does, on average. */
  readonly thinkMs: number;
  /** How long faults go on. */
  readonly faultsMs: number;
  /** Requests to the payment provider or answers of it that are lost, of a hundred. */
  readonly bankLossPercent: number;
  readonly faults: readonly Fault[];
}

export interface PlanChanges {
  /** Numbers of the faults that stay. */
  readonly faults?: readonly number[] | undefined;
  readonly customers?: number | undefined;
  /** Three regions with a coordinator, whatever the seed says. */
  readonly isRegional?: boolean | undefined;
  /** Whatever else is to be otherwise than drawn. */
  readonly set?: Partial<Plan> | undefined;
}

const REGIONS = ['us-east', 'us-west', 'eu-west'] as const;
/** What a loss takes, with what comes of it. */
const LOSS_MS = 6_000;
/** A region that is lost may be replaced before the world is healed. */
const LAST_LOSS_MS = 4_500;
/** From one loss to the next. */
const LOSS_EVERY_MS = 6_500;
const FIRST_LOSS_MS_MAX = 2_500;
/** One way, between two machines of one place. */
export const NEAR_MS = 1;
/** Machine of what regions agree on. */
export const COORDINATOR = 'coordinator';

export function planOf(seed: number, changes: PlanChanges = {}): Plan {
  const shape = randomStream(seed, 'plan/shape');
  const one = <T>(...choices: readonly T[]): T => choices[shape.below(choices.length)] as T;
  const drawnRegions = REGIONS.slice(0, one(1, 1, 1, 2, 3));
  const isCoordinated = changes.isRegional === true;
  const regions = isCoordinated ? REGIONS : drawnRegions;
  const drawnMs = one(6_000, 10_000, 20_000);
  const faultsMs = isCoordinated ? drawnMs / 2 + LOSS_MS : drawnMs;
  const drawn: Plan = {
    seed,
    regions,
    partitions: one(1, 4, 16),
    globalPartitions: one(1, 2, 4),
    ordersShards: one(1, 2),
    writerThreads: one(1, 2),
    batchEntriesMax: one(1, 4, 64, 4_096),
    snapshotEveryEvents: one(4, 16, 256),
    aggregatesCachedMax: one(8, 64, 1_000),
    customers: one(2, 3, 4),
    handsPerCustomer: one(1, 2, 4),
    staff: one(1, 2),
    products: one(2, 2, 4),
    stock: one(10, 60, 400),
    replicas: randomStream(seed, 'plan/replicas').below(2),
    isCoordinated,
    alone: isCoordinated ? aloneOf(seed) : [],
    isResharded: randomStream(seed, 'plan/operator').below(2) === 0,
    isRush: false,
    syncUs: one(150, 1_000, 5_000, 20_000),
    ...(isCoordinated ? geographyOf(randomStream(seed, 'plan/geography')) : NO_GEOGRAPHY),
    thinkMs: one(150, 400, 800),
    faultsMs,
    bankLossPercent: one(0, 0, 5, 20),
    faults: isCoordinated
      ? regionalFaultsOf(seed, regions, faultsMs)
      : localFaultsOf(seed, regions, faultsMs),
  };
  const { faults, customers, set } = changes;
  const plan = { ...drawn, ...set };
  return {
    ...plan,
    customers: customers ?? plan.customers,
    faults: faults === undefined ? plan.faults : plan.faults.filter(({ number }) => faults.includes(number)),
  };
}

const NO_GEOGRAPHY = { slowRegion: null, apartMs: NEAR_MS };

function geographyOf(stream: RandomStream): Pick<Plan, 'slowRegion' | 'apartMs'> {
  return {
    slowRegion: stream.below(3) === 0 ? (REGIONS[stream.below(REGIONS.length)] as string) : null,
    apartMs: stream.below(3) === 0 ? 5 * 2 ** stream.below(4) : NEAR_MS,
  };
}

function aloneOf(seed: number): Plan['alone'] {
  const orders = randomStream(seed, 'plan/durability').below(3) === 0 ? (['orders'] as const) : [];
  const products = randomStream(seed, 'plan/durability-of-products').below(3) === 0;
  return products ? [...orders, 'products'] : orders;
}

type Drawn = Omit<Fault, 'number'>;

const numbered = (found: readonly Drawn[]): readonly Fault[] =>
  found.toSorted((a, b) => a.atMs - b.atMs).map((fault, number) => ({ number, ...fault }));

/** One seed of twelve has no faults: what fails there fails without any. */
const hasNone = (stream: RandomStream): boolean => stream.below(12) === 0;

function localFaultsOf(seed: number, regions: readonly string[], faultsMs: number): readonly Fault[] {
  const stream = randomStream(seed, 'plan/faults');
  return hasNone(stream) ? [] : numbered(faultsOf(stream, regions, faultsMs, 2));
}

function regionalFaultsOf(seed: number, regions: readonly string[], faultsMs: number): readonly Fault[] {
  const stream = randomStream(seed, 'plan/faults');
  if (hasNone(stream)) return [];
  // Of regions that are lost while much else fails, most cannot be replaced.
  const ofFive = stream.below(3);
  const others = faultsOf(stream, [...regions, COORDINATOR], faultsMs, ofFive);
  return numbered([...others, ...lossesOf(randomStream(seed, 'plan/losses'), regions, faultsMs)]);
}

/** Each kind is in the mix or not, and comes at a mean interval of its own. */
function faultsOf(
  stream: RandomStream,
  machines: readonly string[],
  faultsMs: number,
  ofFive: number,
): readonly Drawn[] {
  const found: Drawn[] = [];
  for (const kind of faultKinds) {
    if ((lossKinds as readonly string[]).includes(kind)) continue;
    const isIn = stream.below(5) < ofFive;
    const meanMs = 1_000 * 2 ** (4 * stream.fraction());
    if (!isIn) continue;
    for (let atMs = pause(stream, meanMs); atMs < faultsMs; atMs += pause(stream, meanMs))
      found.push(drawn(stream, kind, machines, atMs, faultsMs));
  }
  return found;
}

/** In most seeds, one after another. */
function lossesOf(stream: RandomStream, regions: readonly string[], faultsMs: number): readonly Drawn[] {
  const found: Drawn[] = [];
  if (stream.below(8) === 0) return [];
  const lastMs = faultsMs - LAST_LOSS_MS;
  for (
    let atMs = 200 + stream.below(FIRST_LOSS_MS_MAX);
    atMs <= lastMs;
    atMs += LOSS_EVERY_MS + pause(stream, 500)
  ) {
    const kind = lossKinds[Math.max(0, stream.below(lossKinds.length + 1) - 1)] as LossKind;
    found.push(drawn(stream, kind, regions, atMs, faultsMs));
  }
  return found;
}

function drawn(
  stream: RandomStream,
  kind: FaultKind,
  machines: readonly string[],
  atMs: number,
  faultsMs: number,
): Drawn {
  const region = machines[stream.below(machines.length)] as string;
  const peers = [...machines.filter((name) => name !== region), 'clients'];
  const peer = peers[stream.below(peers.length)] as string;
  const forMs = Math.min(faultsMs - atMs, pause(stream, 1_500));
  return { atMs, kind, region, peer, forMs, amount: stream.fraction() };
}

/** Exponential: most are short, a few are long. */
export function pause(stream: RandomStream, meanMs: number): number {
  return Math.ceil(meanMs * -Math.log(1 - stream.fraction()));
}
