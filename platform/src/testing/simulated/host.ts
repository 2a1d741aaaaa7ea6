/**
 * The door opened on virtual time and a seed: any number of machines in one world, in one process. Each machine is a
 * `Host` with a disk of its own; they meet on one network. What happens is a function of the seed and of the code
 * under test (kernel.ts says under which condition), and `trace()` tells whether two runs were equal.
 *
 *   const host = simulatedHost({ seed: 42 });
 *   const answer = await host.run(codeUnderTest(host));   // virtual time passes while it waits
 *   await host.advance(3_600_000);                         // an hour, in milliseconds
 *   host.close();
 *
 * Nothing happens unless `run` or `advance` makes it happen: a test that awaits the host without them waits forever.
 */
import type { Cryptography } from '../../host/cryptography.ts';
import type { Clock, Environment, Host } from '../../host/host.ts';
import { cryptographyOver } from '../../host/real-cryptography.ts';
import { giveBackSqlite, type SqliteVfs, takeSqlite } from '../sqlite/vfs.ts';
import { type SimulatedDisk, simulatedDisk } from './disk.ts';
import { Kernel, type Trace } from './kernel.ts';
import { Life } from './life.ts';
import { type SimulatedNetwork, simulatedNetwork } from './network.ts';
import type { RandomStream } from './stream.ts';
import { type RunningThread, simulatedThreads } from './threads.ts';

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
  readonly links: Omit<SimulatedNetwork, 'view' | 'forget'>;
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
  /** Sees each event as it happens: two runs of a seed see the same. */
  onEvent(listener: (atMs: number, kind: string, label: string) => void): void;
  /** Takes a text into the trace's hash: an answer, what a file holds at the end. */
  note(text: string): void;
  /** A further random stream, for the faults and loads of a test. */
  stream(name: string): RandomStream;
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
  /** All code on the machine stops, as after `kill -9`: what was written is in the system's hands, and stays. */
  kill(): void;
  /**
   * A host for one process: what is given it goes on as that process, also when another has taken its place. Code that
   * was given the machine itself is whatever runs on the machine now.
   */
  process(): Host;
  /** All code on the machine stands still for so long, and then goes on as if nothing had happened. */
  pause(ms: number): void;
  /**
   * The process is taken for dead, and another takes its place: it stands still for so long, no new connection reaches
   * it, and then it goes on beside its successor, on the same disk.
   * @returns ends it, wherever it stands
   */
  replace(awakeAfterMs: number): () => void;
  /** One of its threads ends with an error. @returns its name, or null when there is none */
  failThread(): string | null;
  /** Moves the wall clock, forward or back. The monotonic clock does not notice. */
  jumpClock(ms: number): void;
  /** The next writes, of files and commits of databases, fail with `storage-failed`. */
  readonly failWrites: SimulatedDisk['failWrites'];
  readonly failReads: SimulatedDisk['failReads'];
  mendDisk(): void;
  /** See `SimulatedDisk.syncUs`. */
  syncUs(mean: number): void;
  /** See `SimulatedDisk.failPowerAfter`. */
  readonly failPowerAfter: SimulatedDisk['failPowerAfter'];
  /** Writes that the last crash tore at a sector. */
  readonly torn: number;
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

/** Their drivers stay at the rim: what runs on them is tried on the servers themselves. */
const noServers: Host['sql'] = {
  database() {
    throw new Error('there are no database servers in the simulation');
  },
};

/** One machine, `main`, and the world around it. */
export function simulatedHost(options: SimulationOptions): SimulatedHost {
  const world = simulation(options);
  return { ...world, ...world.machine('main') };
}

export function simulation({ seed, startMs = START_MS }: SimulationOptions): Simulation {
  const kernel = new Kernel(seed);
  const network = simulatedNetwork(kernel);
  const { view, forget: _, ...links } = network;
  const chance = kernel.stream('sqlite');
  let sqlite: SqliteVfs | null = null;
  const disks: SimulatedDisk[] = [];
  const machines = new Map<string, SimulatedMachine>();
  const lives = new Set<() => readonly Life[]>();

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
    /** Processes that were replaced and live on. */
    let others: Life[] = [];
    let processes = 0;
    let hosts = 0;
    const threads: RunningThread[] = [];
    const faults = kernel.stream(`${name}/faults`);
    const current = (): Life => life;
    lives.add(() => [life, ...others]);

    function endLives(): void {
      for (const one of [life, ...others]) one.end();
      others = [];
      begin();
    }

    /** A new life; each has a name of its own, and so random streams of its own. */
    function begin(): void {
      processes += 1;
      life = new Life(kernel, `${name}#${processes}`);
    }

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
    /** @param part names the random streams: no two hosts of a machine share one */
    const hostOf = (of: () => Life, part = of().name): Host => {
      return {
        clock: clockOf(kernel, of, startMs, wall),
        random: kernel.stream(`${part}/random`),
        crypto: cryptographyOf(kernel, of, part),
        disk: disk.view(of),
        sql: noServers,
        network: view(name, of),
        threads: simulatedThreads(kernel, of, hostOf, threads),
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
        disk.endInFlight(endLives);
        disk.loseUnsynced();
      },
      kill: () => disk.endInFlight(endLives),
      process() {
        const own = life;
        hosts += 1;
        return hostOf(() => own, `${own.name}/process-${hosts}`);
      },
      pause: (ms) => life.busy(ms * 1000),
      replace(awakeAfterMs) {
        life.busy(awakeAfterMs * 1000);
        others.push(life);
        network.forget(life);
        const replaced = life;
        begin();
        return () => replaced.end();
      },
      failThread() {
        const thread = threads[faults.below(threads.length)];
        thread?.end(new Error('it was made to fail'));
        return thread?.name ?? null;
      },
      jumpClock(ms) {
        wall.skewMs += ms;
      },
      failWrites: disk.failWrites,
      failReads: disk.failReads,
      mendDisk: disk.mend,
      syncUs: disk.syncUs,
      failPowerAfter: disk.failPowerAfter,
      get torn() {
        return disk.torn;
      },
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
    onEvent(listener) {
      kernel.onEvent = (atUs, kind, label) => listener(atUs / 1000, kind, label);
    },
    note: (text) => kernel.note(text),
    stream: (name) => kernel.stream(`test/${name}`),
    close() {
      for (const all of lives) for (const life of all()) life.end();
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
