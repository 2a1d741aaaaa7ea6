/**
 * The door opened on virtual time and a seed: any number of machines in one world, in one process. Each machine is a
 * `Host` with a disk of its own; they meet on one network. What happens is a function of the seed and of the code
 * under test (simulated-kernel.ts says under which condition), and `trace()` tells whether two runs were equal.
 *
 *   const host = simulatedHost({ seed: 42 });
 *   const answer = await host.run(codeUnderTest(host));   // virtual time passes while it waits
 *   await host.advance(3_600_000);                         // an hour, in milliseconds
 *   host.close();
 *
 * Nothing happens unless `run` or `advance` makes it happen: a test that awaits the host without them waits forever.
 */
import type { Cryptography } from '../host/cryptography.ts';
import type { Clock, Environment, Host, Random } from '../host/host.ts';
import { cryptographyOver } from '../host/real-cryptography.ts';
import { type SimulatedDisk, simulatedDisk, type WriteFault } from './simulated-disk.ts';
import { Kernel, type Trace } from './simulated-kernel.ts';
import { Life } from './simulated-life.ts';
import { type SimulatedNetwork, simulatedNetwork } from './simulated-network.ts';
import { simulatedThreads } from './simulated-threads.ts';
import { giveBackSqlite, type SqliteVfs, takeSqlite } from './sqlite-vfs.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Wall clock at the beginning, milliseconds since 1970. */
  readonly startMs?: number;
}

export interface Simulation {
  readonly seed: number;
  /** The machine of that name, made at its first mention. */
  machine(name: string): SimulatedMachine;
  /** Machines by name: their partitions, latencies and broken connections. */
  readonly links: Omit<SimulatedNetwork, 'view'>;
  /**
   * Makes events happen until the promise settles (and hands over its value), the condition holds, or the virtual
   * time has come (milliseconds from the start).
   * @param virtualMsMax 60,000 when left out
   * @throws Error when that would take longer, or nothing is left that could happen
   */
  run<T>(until: Promise<T>, virtualMsMax?: number): Promise<T>;
  run(until: number | (() => boolean), virtualMsMax?: number): Promise<void>;
  /** Everything that is due in the next milliseconds happens, and the clock stands at their end. */
  advance(virtualMs: number): Promise<void>;
  /** Virtual milliseconds since the start. */
  elapsedMs(): number;
  trace(): Trace;
  /** The last 64 events, oldest first. */
  recent(): readonly string[];
  /** A further random stream, for the faults and loads of a test. */
  stream(name: string): Random;
  /** Ends all machines and removes their files. */
  close(): void;
}

export interface SimulatedMachine extends Host {
  readonly name: string;
  /** Paths may also be written with this in front. */
  readonly folder: string;
  /** What `env.get` finds. */
  readonly variables: Map<string, string>;
  /** What `env.write` was given, the last 10,000 lines. */
  readonly lines: string[];
  /**
   * The power fails and comes back: all code on the machine and in its threads stops where it waits, its connections
   * are reset, what its disk had not synced is lost. The same object is then the host of the machine started anew.
   */
  crash(): void;
  /** Moves the wall clock, forward or back. The monotonic clock does not notice. */
  jumpClock(ms: number): void;
  /** The next writes, of files and commits of databases, fail with `storage-failed`. */
  failWrites(fault: WriteFault): void;
  mendDisk(): void;
  /**
   * The power fails after so many more writes and syncs of SQLite: they all fail from then on and reach nothing,
   * until `crash`.
   */
  failPowerAfter(operations: number): void;
  /** Bytes of a file now; null when it does not exist. */
  bytesOf(path: string): Uint8Array | null;
  /** Damages bytes of a file, as a bad sector does. */
  damage(path: string, offset: number, bytes: number): void;
}

export type SimulatedHost = Simulation & SimulatedMachine;

/** 2026-01-01T00:00:00Z */
const START_MS = 1_767_225_600_000;
const MACHINE_LINES_MAX = 10_000;
const MEMORY_BYTES = 64 * 2 ** 20;
/** About what a core does: Argon2id over 19 MiB in 2 passes takes 39 ms. */
const ARGON2_US_PER_KIB = 1;

/** One machine, `main`, and the world around it. */
export function simulatedHost(options: SimulationOptions): SimulatedHost {
  const world = simulation(options);
  return { ...world, ...world.machine('main') };
}

export function simulation({ seed, startMs = START_MS }: SimulationOptions): Simulation {
  const kernel = new Kernel(seed);
  const { view, ...links } = simulatedNetwork(kernel);
  const chance = kernel.stream('sqlite');
  let sqlite: SqliteVfs | null = null;
  const disks: SimulatedDisk[] = [];
  const machines = new Map<string, SimulatedMachine>();
  const lives = new Set<() => Life>();

  function makeMachine(name: string): SimulatedMachine {
    const processId = 1_000 + machines.size;
    sqlite ??= takeSqlite({
      randomBytes: (count) => chance.bytes(count),
      nowMs: () => startMs + Math.floor(kernel.nowUs / 1000),
    });
    const disk = simulatedDisk(kernel, name, sqlite);
    disks.push(disk);
    const wall = { skewMs: 0 };
    let life = new Life(kernel, name);
    const current = (): Life => life;
    lives.add(current);

    const variables = new Map<string, string>();
    const lines: string[] = [];
    const env: Environment = {
      get: (variable) => variables.get(variable),
      processId,
      memoryBytes: () => MEMORY_BYTES,
      cores: 2,
      runtime: `simulated, seed ${seed}`,
      write(line) {
        lines.push(line);
        if (lines.length > MACHINE_LINES_MAX) lines.shift();
      },
    };
    const hostOf = (of: () => Life): Host => {
      const { name: part } = of();
      return {
        clock: clockOf(kernel, of, startMs, wall),
        random: kernel.stream(`${part}/random`),
        crypto: cryptographyOf(kernel, of, part),
        disk: disk.view(of),
        network: view(name, of),
        threads: simulatedThreads(kernel, of, hostOf),
        env,
      };
    };
    return {
      ...hostOf(current),
      name,
      folder: disk.folder,
      variables,
      lines,
      crash() {
        disk.loseUnsynced(() => life.end());
        life = new Life(kernel, name);
      },
      jumpClock(ms) {
        wall.skewMs += ms;
      },
      failWrites: disk.failWrites,
      mendDisk: disk.mend,
      failPowerAfter: disk.failPowerAfter,
      bytesOf: disk.bytesOf,
      damage: disk.damage,
    };
  }

  return {
    seed,
    machine(name) {
      let machine = machines.get(name);
      if (machine === undefined) {
        machine = makeMachine(name);
        machines.set(name, machine);
      }
      return machine;
    },
    links,
    run: kernel.run.bind(kernel) as Simulation['run'],
    advance: (virtualMs) => kernel.advance(virtualMs),
    elapsedMs: () => kernel.nowUs / 1000,
    trace: () => kernel.trace(),
    recent: () => kernel.recent(),
    stream: (name) => kernel.stream(`test/${name}`),
    close() {
      for (const current of lives) current().end();
      for (const disk of disks) disk.close();
      if (sqlite !== null) giveBackSqlite(sqlite);
      sqlite = null;
    },
  };
}

function clockOf(
  kernel: Kernel,
  life: () => Life,
  startMs: number,
  wall: { readonly skewMs: number },
): Clock {
  const label = life().name;
  return {
    nowMs: () => startMs + wall.skewMs + Math.floor(kernel.nowUs / 1000),
    monotonicMs: () => kernel.nowUs / 1000,
    after: (delayMs, callback) => life().later(timerUs(delayMs), 'timer', label, callback),
    soon: (callback) => void life().later(1, 'soon', label, callback, 'last'),
    sleep: (delayMs) => life().outcome(timerUs(delayMs), 'sleep', label, () => undefined),
  };
}

/** Timers are in whole milliseconds and take one at least, as in Node. */
const timerUs = (delayMs: number): number => (delayMs >= 1 ? Math.trunc(delayMs) : 1) * 1000;

function cryptographyOf(kernel: Kernel, life: () => Life, part: string): Cryptography {
  const stream = kernel.stream(`${part}/crypto`);
  const real = cryptographyOver((count) => stream.bytes(count));
  return {
    ...real,
    /** A cheap stand-in: the thread pool would finish in arbitrary order. */
    argon2id(password, salt, cost) {
      const input = JSON.stringify([password, [...salt], cost.memoryKib, cost.passes]);
      const meanUs = cost.memoryKib * cost.passes * ARGON2_US_PER_KIB;
      const delayUs = meanUs * (0.9 + 0.2 * stream.fraction());
      return life().outcome(delayUs, 'argon2id', part, () => real.sha256(input));
    },
  };
}
