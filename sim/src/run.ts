/**
 * One seed, from the first boot to the last check: the cluster starts, faults befall it while clients use it (safety),
 * the world is healed and everything must come to its end within a virtual bound (liveness), and then what is on the
 * disks is held against what clients were told.
 */
import { checkLines } from './checks/alarms.ts';
import { checkAlone } from './checks/cuts.ts';
import { checkDisks } from './checks/disks.ts';
import { checkFrozen } from './checks/frozen.ts';
import { checkHistory } from './checks/history.ts';
import { homesAt } from './checks/homes.ts';
import { checkQuarantine } from './checks/quarantine.ts';
import { Customer } from './clients/customer.ts';
import { Operator } from './clients/operator.ts';
import { Salvage } from './clients/salvage.ts';
import { Staff } from './clients/staff.ts';
import { Watcher } from './clients/watcher.ts';
import { Coverage, type Interesting } from './coverage.ts';
import { allEnded } from './ending.ts';
import { type Happened, openFaults } from './faults.ts';
import { type History, newHistory } from './history.ts';
import { COORDINATOR, type FaultKind, NEAR_MS, type Plan, type PlanChanges, planOf } from './plan.ts';
import { openWorld, type RegionState, type World } from './world.ts';

export interface RunOptions extends PlanChanges {
  /** Sees each event of the kernel. */
  readonly onEvent?: ((atMs: number, kind: string, label: string) => void) | undefined;
  /** Sees what a reader of the log wants to see: phases, faults, what was wrong. */
  readonly onNote?: ((atMs: number, text: string) => void) | undefined;
}

export interface Result {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly reached: readonly Interesting[];
  /** Equal runs have equal hashes: events, answers, and every byte on the disks at the end. */
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
  readonly orders: number;
  readonly answers: number;
  readonly faults: number;
}

export interface Ran extends Result {
  readonly plan: Plan;
  readonly happened: readonly Happened[];
  readonly history: History;
  readonly states: readonly RegionState[];
}

const START_MS_MAX = 10_000;
const DECIDE_EVERY_MS = 300;
const SET_UP_MS_MAX = 30_000;
/** Payments that nobody decides are given up after half a minute, and effects pause for ten seconds at most. */
const CONVERGE_MS_MAX = 150_000;
const VIOLATIONS_MAX = 20;
const TAKES_NOTHING: ReadonlySet<FaultKind> = new Set([
  'clock',
  'clog',
  'disk-slow',
  'bank-down',
  'disconnect',
]);
/** More than customers, so that all can register, and few enough that they meet. */
const EMAILS = 7;

export async function run(seed: number, options: RunOptions = {}): Promise<Ran> {
  const plan = planOf(seed, options);
  const violations: string[] = [];
  const coverage = new Coverage();
  const history = newHistory();
  const world: World = openWorld(plan, coverage, wrong);
  const { simulation } = world;
  const note = (text: string): void => options.onNote?.(simulation.elapsedMs(), text);
  const faults = openFaults(plan, world, coverage, wrong, ({ text }) => note(`fault: ${text}`));
  if (options.onEvent !== undefined) simulation.onEvent(options.onEvent);

  function wrong(what: string): void {
    const text = `${simulation.elapsedMs().toFixed(3)} ms: ${what}`;
    if (violations.length < VIOLATIONS_MAX) violations.push(text);
    note(`WRONG: ${what}`);
  }
  const unawaited = (error: unknown): void =>
    wrong(`an error that nobody awaits: ${(error as Error).stack ?? error}`);
  process.on('unhandledRejection', unawaited);

  try {
    await live(plan, world, faults, { history, coverage, wrong, note });
    for (const region of plan.regions) {
      checkLines(world.machine(region).lines, coverage, wrong);
    }
  } catch (error) {
    wrong((error as Error).stack ?? String(error));
  } finally {
    process.off('unhandledRejection', unawaited);
  }
  const { hash, events } = simulation.trace();
  const virtualMs = simulation.elapsedMs();
  simulation.close();
  return {
    seed,
    plan,
    violations,
    reached: [...coverage.counts.keys()],
    hash,
    events,
    virtualMs,
    orders: history.orders.filter(({ answer }) => answer?.id != null).length,
    answers: [...history.answers.values()].reduce((sum, count) => sum + count, 0),
    faults: faults.happened.length,
    happened: faults.happened,
    history,
    states: world.states,
  };
}

/** Regions that are replaced while they live. */
function watchedIn({ faults, isRush }: Plan): readonly string[] {
  const stranded = faults.filter(({ kind }) => kind === 'stranded' && !isRush);
  return [...new Set(stranded.map(({ region }) => region))];
}

interface Watch {
  readonly history: History;
  readonly coverage: Coverage;
  readonly wrong: (what: string) => void;
  readonly note: (text: string) => void;
}

async function live(
  plan: Plan,
  world: World,
  faults: ReturnType<typeof openFaults>,
  { history, coverage, wrong, note }: Watch,
): Promise<void> {
  const { simulation } = world;
  const { regions } = plan;
  let isOver = false;
  const ground = {
    clock: simulation.machine('checker').clock,
    elapsedMs: () => simulation.elapsedMs(),
    regions,
    history,
    coverage,
    staffToken: world.staffToken,
    thinkMs: plan.thinkMs,
    isRush: plan.isRush,
    mayLoseOrders: plan.alone.includes('orders'),
    canMove: regions.length > 1,
    isOver: () => isOver,
    wrong,
    note: simulation.note,
  };
  const allRun = (): boolean => regions.every((region) => world.instance(region) !== null);

  for (const machine of plan.isCoordinated ? [COORDINATOR, ...regions] : regions) {
    world.machine(machine).syncUs(world.syncUs(machine));
    world.boot(machine);
  }
  if (plan.apartMs > NEAR_MS)
    for (const here of regions)
      for (const there of regions)
        if (here < there) simulation.links.latency(here, there, world.apartMs(here, there));
  await simulation.run(allRun, START_MS_MAX);
  note('all regions stand');

  const staff = Array.from({ length: plan.staff }, (_, i) => {
    const name = `staff-${i + 1}`;
    return new Staff(name, ground, world.transport(name), simulation.stream(name));
  });
  const [first] = staff as [Staff];
  const products = await simulation.run(
    Promise.all(Array.from({ length: plan.products }, (_, i) => first.list(`P-${i + 1}`, plan.stock))),
    SET_UP_MS_MAX,
  );
  const emails = Array.from({ length: EMAILS }, (_, i) => `customer${i + 1}@example.com`);
  const customers = Array.from({ length: plan.customers }, (_, i) => {
    const name = `customer-${i + 1}`;
    return new Customer(name, ground, world.transport(name), simulation.stream(name), products, emails);
  });
  const operator = new Operator(ground, world.transport('operator-1'), simulation.stream('operator-1'));
  const watchers = watchedIn(plan).map((region) => {
    const name = `watcher-of-${region}`;
    const country = world.topology.regions[region]?.countries.find((one) => one !== '*') as string;
    const stream = simulation.stream(name);
    return new Watcher(name, ground, world.transport(name), stream, region, country, world.tokenOf);
  });
  const salvage = new Salvage(
    'operator-2',
    ground,
    world.transport('operator-2'),
    simulation.stream('operator-2'),
  );
  // What there is to buy is not what is lost.
  if (plan.alone.includes('products')) await simulation.run(operator.regionsFollow(), SET_UP_MS_MAX);
  note(
    `${products.length} products stand; ${customers.length} customers and ${plan.faults.length} faults begin`,
  );

  faults.begin();
  const living = Promise.all([
    ...customers.map((customer) => customer.live(plan.handsPerCustomer)),
    ...staff.map((one) => one.live(products)),
    ...(plan.isResharded && !plan.isRush ? [operator.live()] : []),
    ...watchers.map((watcher) => watcher.live()),
    ...(plan.isCoordinated && !plan.isRush ? [operator.switchRegions(), salvage.live()] : []),
  ]);
  await simulation.advance(plan.faultsMs);

  isOver = true;
  faults.heal();
  note('the world is healed');
  const untilMs = simulation.elapsedMs() + CONVERGE_MS_MAX;
  const left = (): number => {
    const ms = untilMs - simulation.elapsedMs();
    if (ms <= 0)
      throw new Error(`the world was healed ${CONVERGE_MS_MAX} virtual ms ago, and not all is well again`);
    return ms;
  };
  await simulation.run(allRun, left());
  await simulation.run(living, left());
  note('all clients have their answers');
  // Every partition takes writes again.
  await simulation.run(Promise.all(customers.map((customer) => customer.goOn())), left());
  await simulation.run(first.goOn(products), left());
  // Processes of a partition that is on its way are counted nowhere.
  const reshards = { haveEnded: false };
  const ending = operator.conclude().then(() => {
    reshards.haveEnded = true;
  });
  // A shard is not given up with a quarantine of which nobody has decided.
  while (plan.isCoordinated && !reshards.haveEnded) {
    await simulation.run(salvage.conclude(), left());
    await simulation.advance(DECIDE_EVERY_MS);
  }
  await simulation.run(ending, left());
  note('all reshards have ended');
  if (plan.isCoordinated) {
    await simulation.run(operator.regionsFollow(), left());
    await simulation.run(salvage.conclude(), left());
    note('nothing waits in a quarantine');
  }
  const checker = world.transport('checker');
  await simulation.run(allEnded(regions, checker, ground.clock), left());
  note('all processes have ended');
  await simulation.run(Promise.all(customers.map((customer) => customer.conclude())), left());
  await simulation.run(operator.replicasFollow(), left());
  if (plan.isCoordinated) await simulation.run(operator.regionsFollow(), left());
  note('all replicas have caught up');
  const revenue = await simulation.run(first.revenue(), left());
  await simulation.run(Promise.all(regions.map((region) => world.instance(region)?.drain())), left());
  note('all regions are stopped');
  const { topology, dataFolder, bank } = world;
  const hostOf = (region: string) => world.machine(region);
  const { shelves, books, cuts } = await checkDisks({
    topology,
    dataFolder,
    hostOf,
    history,
    coverage,
    bank,
    revenue,
    homeOf: plan.isCoordinated ? await homesAt(world) : null,
    mayLose: plan.alone,
    wrong,
  });
  // Regions were lost one by one, and nothing else took any with it: what they had alone is what could be lost.
  if (plan.faults.every(({ kind }) => kind === 'lost' || TAKES_NOTHING.has(kind)))
    checkAlone(history, books, cuts, faults.alone, wrong);
  // Which of two machines was first is known where their clocks agree.
  if (plan.alone.includes('products') && plan.faults.every(({ kind }) => kind !== 'clock'))
    checkFrozen(shelves, coverage, wrong);
  if (plan.isCoordinated)
    for (const region of regions) {
      const { disk, lines } = world.machine(region);
      const folder = `${dataFolder}/${region}`;
      const files = await simulation.run(disk.list(folder), left());
      checkQuarantine(
        region,
        { disk, files: files.map((name) => `${folder}/${name}`) },
        shelves,
        lines,
        wrong,
      );
    }
  checkHistory(history, { books, cuts, codeOf: (region) => topology.regions[region]?.code ?? 0, wrong });
  for (const { region, base } of shelves) {
    for (const end of ['log', 'views', 'memory', 'keys']) {
      const { crypto, bytesOf } = world.machine(region);
      simulation.note(crypto.sha256(bytesOf(`${base}.${end}.db`) ?? new Uint8Array()).toHex());
    }
  }
}
