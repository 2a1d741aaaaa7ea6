/**
 * The platform that a drill strikes: as `cardume start` runs it, a process each for the coordinator and every region and
 * the edge in this one, but for doors through which processes are killed, kept down and started again, and lines that
 * can be slow or cut.
 */
import { join } from 'node:path';
import { type Edge, startEdge } from 'cardume/edge';
import type { Secrets } from 'cardume/instance';
import type { RegionName, Topology } from 'cardume/topology';
import { Failure } from '../failure.ts';
import { openSecrets } from '../secrets.ts';
import type { Shell } from '../shell.ts';
import { type Child, type ChildOptions, limitFiles, startChild } from '../supervisor/child.ts';
import { ENTRY, NODE_FLAGS } from '../supervisor/entry.ts';
import { type RegionProcess, runRegion } from '../supervisor/region-process.ts';
import { warmUp } from '../supervisor/warmth.ts';
import { type BadLine, openLine } from './lines.ts';
import { freePorts } from './ports.ts';
import { type Line, linesOf, seenBy } from './topologies.ts';

export const COORDINATOR = 'coordinator';

/** A line of a process's log. */
export interface Told {
  readonly process: string;
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Grounds {
  readonly topology: Topology;
  readonly secrets: Secrets;
  /** Of the edge. */
  readonly url: string;
  /** SIGKILL. The supervisor starts the process again, at once or when it is no longer held down. */
  kill(name: string): void;
  holdDown(name: string, isHeld: boolean): void;
  /** Resolves when the process that was killed is ready again. @throws Failure when it never will be */
  readyAgain(name: string): Promise<void>;
  /** Whether the process can write its files. @throws Failure where the system cannot forbid it */
  setDiskFull(name: string, isFull: boolean): Promise<void>;
  /** Of the lines, each way, when nothing is struck. */
  readonly delayMs: number;
  /** Empty when lines go straight. */
  readonly lines: readonly (Line & { readonly line: BadLine })[];
  close(): Promise<void>;
}

export interface GroundsOptions {
  readonly shell: Shell;
  readonly topology: Topology;
  /** Absolute. */
  readonly folder: string;
  /** Absolute: of compiled modules, shared by all drills. */
  readonly cacheFolder: string;
  /** Lines between regions, and to the coordinator, can be slow or cut. */
  readonly withLines: boolean;
  /** Of these lines, each way. */
  readonly delayMs: number;
  readonly onTold: (told: Told) => void;
}

/** Nothing fits any more but the beginning of a file. */
const FULL_BYTES = 1;
const STOP_GRACE_MS = 4_500;
const START_MS_MAX = 60_000;

/** @throws Failure when it does not start */
export async function startGrounds(options: GroundsOptions): Promise<Grounds> {
  const { shell, topology, folder, withLines, delayMs, onTold } = options;
  const { host } = shell;
  await host.disk.makeFolder(folder);
  const secrets = await openSecrets(host, folder);
  const environment = { NODE_COMPILE_CACHE: options.cacheFolder };
  const lines = withLines ? await openLines(shell, topology) : [];
  for (const { line } of lines) line.setDelay(delayMs);
  const files = await writeTopologies(shell, topology, folder, lines);
  await warmUp(host, options.cacheFolder, {
    command: [ENTRY, 'warm', '--config', files.get(COORDINATOR) as string],
    environment,
  });
  const gates = new Map<string, Gate>();
  const processes = new Map<string, RegionProcess>();

  const begin = (name: string, command: readonly string[]): RegionProcess => {
    const place = ['--config', files.get(name) as string, '--data', folder];
    const gate = openGate((listeners) =>
      startChild({ ...listeners, command: [...command, ...place], environment }),
    );
    const process = runRegion({
      name,
      clock: host.clock,
      start: gate.start,
      onLine: (text) => onTold(toldOf(name, text)),
      note: (level, message) => onTold({ process: name, level, message, fields: {} }),
    });
    gates.set(name, gate);
    processes.set(name, process);
    return process;
  };

  let edge: Edge | null = null;
  async function close(): Promise<void> {
    await edge?.drain();
    await Promise.all([...processes.values()].map((process) => process.stop(STOP_GRACE_MS)));
    await Promise.all(lines.map(({ line }) => line.close()));
  }
  try {
    const all: RegionProcess[] = [];
    if (topology.coordinator?.engine === 'embedded') all.push(begin(COORDINATOR, [ENTRY, 'coordinator']));
    for (const region of Object.keys(topology.regions))
      all.push(begin(region, [...NODE_FLAGS, ENTRY, 'instance', '--region', region]));
    await inTime(shell, Promise.all(all.map(({ ready }) => ready)), 'The platform');
    const log = edgeLog(onTold);
    edge = await startEdge({ host, topology, log });
  } catch (error) {
    await close();
    throw error;
  }
  const gateOf = (name: string): Gate => gates.get(name) as Gate;
  return {
    topology,
    secrets,
    delayMs,
    url: `http://${topology.edge.host}:${topology.edge.port}`,
    lines,
    kill: (name) => gateOf(name).kill(),
    holdDown: (name, isHeld) => gateOf(name).hold(isHeld),
    async setDiskFull(name, isFull) {
      const trouble = await limitFiles(gateOf(name).processId() ?? 0, isFull ? FULL_BYTES : null);
      if (trouble !== null) throw new Failure(`The files of ${name} cannot be limited here: ${trouble}.`);
    },
    async readyAgain(name) {
      const lost = (processes.get(name) as RegionProcess).lost.then((failure) => {
        throw failure;
      });
      await inTime(shell, Promise.race([gateOf(name).ready(), lost]), name);
    },
    close,
  };
}

async function inTime<T>({ host }: Shell, work: Promise<T>, what: string): Promise<T> {
  let isOver = false;
  const late = host.clock.sleep(START_MS_MAX).then(() => {
    if (!isOver) throw new Failure(`${what} did not get ready within ${START_MS_MAX / 1_000} s.`);
    return undefined as never;
  });
  late.catch(() => {}); // nobody waits for it any more
  try {
    return await Promise.race([work, late]);
  } finally {
    isOver = true;
  }
}

async function openLines(shell: Shell, topology: Topology): Promise<Grounds['lines']> {
  const wanted = linesOf(topology);
  const ports = await freePorts(shell.host, wanted.length);
  return Promise.all(
    wanted.map(async (of, i) => {
      const { host, port } = of;
      return { ...of, line: await openLine(shell.host, ports[i] as number, { host, port }) };
    }),
  );
}

/** A file for each process. @returns their paths */
async function writeTopologies(
  { host }: Shell,
  topology: Topology,
  folder: string,
  lines: Grounds['lines'],
): Promise<ReadonlyMap<string, string>> {
  const portOf = (from: RegionName, to: string): number =>
    (lines.find((line) => line.from === from && line.to === to) as Grounds['lines'][number]).line.port;
  const files = new Map<string, string>();
  for (const name of [COORDINATOR, ...Object.keys(topology.regions)]) {
    const path = join(folder, `${name}.topology.mjs`);
    const seen = lines.length === 0 || name === COORDINATOR ? topology : seenBy(topology, name, portOf);
    await host.disk.write(path, `export default ${JSON.stringify(seen, null, 2)};\n`);
    files.set(name, path);
  }
  return files;
}

type Listeners = Pick<ChildOptions, 'onReport' | 'onLine' | 'onExit'>;

/** What stands between a supervisor and the processes it starts. */
interface Gate {
  start(listeners: Listeners): Child;
  kill(): void;
  hold(isHeld: boolean): void;
  processId(): number | undefined;
  /** The next time that the process says so, or now when it runs. */
  ready(): Promise<void>;
}

function openGate(spawn: (listeners: Listeners) => Child): Gate {
  let isHeld = false;
  let isReady = false;
  let running: Child | null = null;
  let waiting: (() => void) | null = null;
  const waiters = new Set<() => void>();

  return {
    start(listeners) {
      let own: Child | null = null;
      const begin = (): void => {
        waiting = null;
        own = spawn({
          ...listeners,
          onReport(report) {
            listeners.onReport(report);
            if (report.kind !== 'ready') return;
            isReady = true;
            for (const resolve of waiters) resolve();
            waiters.clear();
          },
          onExit(how) {
            isReady = false;
            running = null;
            listeners.onExit(how);
          },
        });
        running = own;
      };
      if (isHeld) waiting = begin;
      else begin();
      return {
        get processId() {
          return own?.processId;
        },
        tell: (order) => (own === null ? listeners.onExit('it was held down') : own.tell(order)),
        kill: () => own?.kill(),
      };
    },
    kill() {
      isReady = false;
      running?.kill();
    },
    hold(held) {
      isHeld = held;
      if (!held) waiting?.();
    },
    processId: () => running?.processId,
    ready: () => (isReady ? Promise.resolve() : new Promise((resolve) => waiters.add(resolve))),
  };
}

/** A line of a log is JSON; what else a process writes is told as a warning. */
function toldOf(process: string, text: string): Told {
  try {
    const { level, message, time: _, region: __, ...fields } = JSON.parse(text) as Record<string, unknown>;
    if (typeof level === 'string' && typeof message === 'string') return { process, level, message, fields };
  } catch {
    // shown as it is
  }
  return { process, level: 'warn', message: text, fields: {} };
}

function edgeLog(onTold: (told: Told) => void): Parameters<typeof startEdge>[0]['log'] {
  const log: ReturnType<typeof edgeLog> = {
    debug() {},
    info: (message, fields = {}) => onTold({ process: 'edge', level: 'info', message, fields }),
    warn: (message, fields = {}) => onTold({ process: 'edge', level: 'warn', message, fields }),
    error: (message, fields = {}) => onTold({ process: 'edge', level: 'error', message, fields }),
    with: () => log,
  };
  return log;
}
