/** Makes a plan's faults happen, and heals the world when their time is over. */
import { isCardumeError } from 'cardume/base';
import type { RandomStream } from 'cardume/testing/simulated/stream';
import type { Coverage } from './coverage.ts';
import { openLosses } from './losses.ts';
import { COORDINATOR, type Fault, type FaultKind, type Plan, pause } from './plan.ts';
import type { World } from './world.ts';

export interface Faults {
  /** All faults of the plan, from now on. */
  begin(): void;
  /** The world is whole again: everything runs, nothing is cut, full, slow or skewed any further. */
  heal(): void;
  /** See `Losses.alone`. */
  readonly alone: readonly (number | null)[];
  /** What came about, in order. */
  readonly happened: readonly Happened[];
}

export interface Happened {
  readonly atMs: number;
  readonly fault: Fault;
  readonly text: string;
}

const DOWN_MS_MEAN = 700;
const FULL_AGAIN_LOOK_MS = 20;
const FULL_AGAIN_MS_MAX = 400;
/** A process that is replaced is away for longer than its successor needs to start. */
const REPLACED_MS_MIN = 500;
/** How long it runs beside its successor, until somebody ends it for good. */
const REPLACED_AWAKE_MS = 3_000;
const CLOCK_JUMP_MS_MAX = 60_000;
const SLOW_SYNC_US_MAX = 40_000;
const CLOG_MS_MAX = 800;
const POWER_OPERATIONS_MAX = 60;

/** @param onHappened hears of each */
export function openFaults(
  plan: Plan,
  world: World,
  coverage: Coverage,
  wrong: (what: string) => void,
  onHappened: (happened: Happened) => void,
): Faults {
  const { simulation } = world;
  const { clock } = simulation.machine('operator');
  const happened: Happened[] = [];
  let isHealed = false;

  function say(fault: Fault, text: string): void {
    const one = { atMs: simulation.elapsedMs(), fault, text };
    happened.push(one);
    onHappened(one);
  }

  /** The process ends, and another starts after a while. @returns writes torn */
  function end(region: string, how: 'power' | 'kill', downMs: number): number {
    const machine = world.machine(region);
    const isDown = world.down(region);
    if (how === 'power') machine.crash();
    else machine.kill();
    const torn = how === 'power' ? machine.torn : 0;
    if (torn > 0) coverage.reached('writes were torn at a loss of power');
    clock.after(downMs, () => {
      if (isDown() && !losses.isLost(region)) world.boot(region); // what came after it starts the next by itself
    });
    return torn;
  }

  /** Each fault draws from a stream of its own: one that is left out changes no other. */
  const streamOf = ({ number }: Fault): RandomStream => simulation.stream(`fault/${number}`);
  const downMsOf = (fault: Fault): number => pause(streamOf(fault), DOWN_MS_MEAN);

  /** Files of a region may lie on disks of their own. */
  function pathOf(fault: Fault): string {
    return ['', '', '.log.db', '.views.db'][streamOf(fault).below(4)] as string;
  }

  /** Faults of one kind may overlap: what they do ends with the last of them. @returns ends this one */
  const under = new Map<string, number[]>();
  function begin(what: string, amount: number, set: (amounts: readonly number[]) => void): () => void {
    const amounts = under.get(what) ?? [];
    under.set(what, amounts);
    amounts.push(amount);
    set(amounts);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      amounts.splice(amounts.indexOf(amount), 1);
      if (!isHealed) set(amounts);
    };
  }

  function during(
    what: string,
    amount: number,
    forMs: number,
    set: (amounts: readonly number[]) => void,
  ): void {
    clock.after(forMs, begin(what, amount, set));
  }

  /** Nothing passes from one machine to another. @returns ends it */
  function cutOne(machine: string, other: string): () => void {
    return begin(`${machine} -> ${other}`, 1, ({ length }) =>
      length > 0
        ? simulation.links.partition(machine, other, 'one')
        : simulation.links.healWay(machine, other),
    );
  }

  function cut(here: string, there: string, forMs: number): void {
    for (const machine of machinesOf(here))
      for (const other of machinesOf(there)) clock.after(forMs, cutOne(machine, other));
  }

  function clogOne(here: string, there: string, latencyMs: number): () => void {
    return begin([here, there].sort().join(' - '), latencyMs, (all) =>
      simulation.links.latency(here, there, Math.max(world.apartMs(here, there), ...all)),
    );
  }

  const losses = openLosses({
    plan,
    world,
    clock,
    streamOf,
    cut: cutOne,
    clog: clogOne,
    end,
    isHealed: () => isHealed,
    wrong,
  });

  const kinds: Readonly<Record<FaultKind, (fault: Fault) => string>> = {
    power(fault) {
      const { region } = fault;
      const downMs = downMsOf(fault);
      const torn = end(region, 'power', downMs);
      return `${region} loses its power for ${downMs} ms${torn > 0 ? `, ${torn} writes torn` : ''}`;
    },
    'power-in-commit'(fault) {
      const { region, amount } = fault;
      const operations = 1 + Math.floor(amount * POWER_OPERATIONS_MAX);
      world.machine(region).failPowerAfter(operations, () => {
        coverage.reached('the power failed at a write or sync of a database');
        clock.soon(() => void end(region, 'power', downMsOf(fault)));
      });
      return `${region} will lose its power after ${operations} more writes of its databases`;
    },
    kill(fault) {
      const { region } = fault;
      const downMs = downMsOf(fault);
      end(region, 'kill', downMs);
      return `${region} is killed, and away for ${downMs} ms`;
    },
    restart({ region }) {
      const instance = world.instance(region);
      if (instance === null) return `${region} would be restarted, and does not run`;
      const isDown = world.down(region);
      const begin = (): void => {
        if (!isDown()) return; // another fault was faster
        world.machine(region).kill();
        world.boot(region);
      };
      instance.drain().then(begin, (error: unknown) => {
        // What a failing disk throws ends the process just the same.
        if (!isCardumeError(error, 'storage-failed'))
          wrong(`${region} does not stop: ${(error as Error).stack}`);
        begin();
      });
      return `${region} is restarted in order`;
    },
    pause({ region, forMs }) {
      world.machine(region).pause(forMs);
      return `${region} stands still for ${forMs} ms`;
    },
    replace({ region, forMs }) {
      if (world.instance(region) === null) return `${region} would be replaced, and does not run`;
      const awakeAfterMs = REPLACED_MS_MIN + forMs;
      world.down(region);
      const end = world.machine(region).replace(awakeAfterMs);
      clock.after(awakeAfterMs + REPLACED_AWAKE_MS, end);
      world.boot(region);
      return `${region} stands still for ${awakeAfterMs} ms, and another process takes its place`;
    },
    thread({ region }) {
      const name = world.machine(region).failThread();
      if (name !== null) coverage.reached('a writer or reader thread ended');
      return `a thread of ${region} ends: ${name ?? 'there is none'}`;
    },
    partition({ region, peer, forMs, amount }) {
      const ways = amount < 0.5 ? 'both' : 'one';
      const [from, to] = amount < 0.75 ? [region, peer] : [peer, region];
      cut(from, to, forMs);
      if (ways === 'both') cut(to, from, forMs);
      return `nothing passes from ${from} to ${to}${ways === 'both' ? ' and back' : ''} for ${forMs} ms`;
    },
    disconnect({ region, peer }) {
      let broken = 0;
      for (const other of machinesOf(peer)) broken += simulation.links.disconnect(region, other);
      return `${broken} connections between ${region} and ${peer} break`;
    },
    clog({ region, peer, forMs, amount }) {
      const latencyMs = 20 + Math.floor(amount * CLOG_MS_MAX);
      for (const other of machinesOf(peer)) clock.after(forMs, clogOne(region, other, latencyMs));
      return `${region} and ${peer} are ${latencyMs} ms apart for ${forMs} ms`;
    },
    clock({ region, amount }) {
      const byMs = Math.round((amount * 2 - 1) * CLOCK_JUMP_MS_MAX);
      world.machine(region).jumpClock(byMs);
      return `the clock of ${region} jumps by ${byMs} ms`;
    },
    'disk-full'(fault) {
      const { region, forMs } = fault;
      const path = pathOf(fault);
      const fill = (): void => {
        const count = Number.POSITIVE_INFINITY;
        clock.after(forMs, world.machine(region).failWrites({ code: 'ENOSPC', count, path }));
      };
      const text = `full for ${forMs} ms${path === '' ? '' : `, for its ${path} alone`}`;
      if (fault.amount < 0.5) {
        fill();
        return `the disk of ${region} is ${text}`;
      }
      // Somebody has made room and started it again; it was not enough.
      const whenItStands = (): void => {
        if (isHealed) return;
        if (world.instance(region) === null) clock.after(FULL_AGAIN_LOOK_MS, whenItStands);
        else clock.after(FULL_AGAIN_MS_MAX * streamOf(fault).fraction(), fill);
      };
      end(region, 'kill', downMsOf(fault));
      whenItStands();
      return `${region} is killed, and its disk is soon ${text}`;
    },
    'disk-write'(fault) {
      const { region, amount } = fault;
      const count = 1 + streamOf(fault).below(5);
      const path = pathOf(fault);
      const [what, how] =
        amount < 0.25
          ? ['syncs fail after the fact', { written: true }]
          : amount < 0.5
            ? ['syncs fail, and are forgotten', { forgotten: true }]
            : ['writes fail', {}];
      world.machine(region).failWrites({ code: 'EIO', count, path, ...how });
      return `${region}: ${count} ${what}${path === '' ? '' : `, of its ${path} alone`}`;
    },
    'disk-read'({ region, amount }) {
      const count = 1 + Math.floor(amount * 4);
      world.machine(region).failReads({ count });
      return `${count} reads of ${region} fail`;
    },
    'disk-slow'({ region, forMs, amount }) {
      const us = Math.ceil(amount * SLOW_SYNC_US_MAX);
      during(`syncs of ${region}`, us, forMs, (all) =>
        world.machine(region).syncUs(Math.max(world.syncUs(region), ...all)),
      );
      return `a sync of ${region} takes ${us} us for ${forMs} ms`;
    },
    ...losses.kinds,
    'bank-down'({ forMs }) {
      during('bank', 1, forMs, ({ length }) => {
        world.bank.isDown = length > 0;
      });
      return `the bank does not answer for ${forMs} ms`;
    },
  };

  function machinesOf(name: string): readonly string[] {
    return name === 'clients' ? clientMachines(plan) : [name];
  }

  return {
    alone: losses.alone,
    happened,
    begin() {
      for (const fault of plan.faults) {
        clock.after(fault.atMs, () => {
          if (!isHealed) say(fault, kinds[fault.kind](fault));
        });
      }
    },
    heal() {
      isHealed = true;
      simulation.links.heal();
      world.bank.isDown = false;
      world.bank.lossPercent = 0;
      const machines = plan.isCoordinated ? [...plan.regions, COORDINATOR] : plan.regions;
      for (const region of machines) {
        const machine = world.machine(region);
        machine.mendDisk();
        machine.syncUs(world.syncUs(region));
        for (const other of [...machines, ...clientMachines(plan)])
          if (other !== region) simulation.links.latency(region, other, world.apartMs(region, other));
      }
    },
  };
}

function clientMachines({ customers, staff }: Pick<Plan, 'customers' | 'staff'>): readonly string[] {
  return [
    ...Array.from({ length: customers }, (_, i) => `customer-${i + 1}`),
    ...Array.from({ length: staff }, (_, i) => `staff-${i + 1}`),
    'checker',
  ];
}
