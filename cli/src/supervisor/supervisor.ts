/**
 * Three regions on one machine: a process each, the edge in this one (it saves a bare process's 40 MB), one stream of log
 * lines. It owns no data: killed at any moment, it leaves nothing behind that the next start would trip over.
 */
import { type Edge, startEdge } from 'cardume/edge';
import type { Fields, Log } from 'cardume/telemetry/log';
import type { Topology } from 'cardume/topology';
import { type Failure, INTERRUPTED } from '../failure.ts';
import type { Shell } from '../shell.ts';
import { startChild } from './child.ts';
import { machineReadable, readable } from './lines.ts';
import { type RegionProcess, runRegion } from './region-process.ts';

export interface SupervisorOptions {
  readonly shell: Shell;
  readonly topology: Topology;
  /** Regions to run here. */
  readonly regions: readonly string[];
  /** Script and arguments of a region's process. */
  readonly command: (region: string) => readonly string[];
  /** Of the coordinator's, where the topology has it run here. */
  readonly coordinator: readonly string[] | null;
  readonly environment: Readonly<Record<string, string>>;
  /** Log lines stay JSON. */
  readonly json: boolean;
  /** All regions and the edge are ready. What it throws ends everything. */
  readonly onReady: (edge: Edge, log: Log) => Promise<void>;
}

const COORDINATOR = 'coordinator';
/** Of 5 s in which everything must be gone; regions drain for `bounds.drainTimeoutMs`. */
const STOP_GRACE_MS = 4_500;
/** npm and the launcher hand on a signal that this process got from the terminal too: one Ctrl-C, not two. */
const SIGNAL_ECHO_MS = 500;

/**
 * Runs until it is asked to stop.
 * @returns the exit code
 * @throws Failure when a region cannot start, or none is left
 */
export async function supervise(options: SupervisorOptions): Promise<number> {
  const { shell, topology, regions, json } = options;
  const { clock } = shell.host;
  const coordinator = options.coordinator === null ? [] : [COORDINATOR];
  const names = [...regions, ...coordinator, 'edge', 'cardume'];
  const style = { colour: shell.colour, names };
  const line = (text: string, name: string): void => {
    const nowMs = clock.nowMs();
    shell.print(json ? machineReadable(text, name, nowMs) : readable(text, name, nowMs, style));
  };
  const logOf = (name: string): Log =>
    logOver((level, message, fields) =>
      line(JSON.stringify({ level, time: clock.nowMs(), region: name, message, ...fields }), name),
    );
  const log = logOf('cardume');

  const processes = new Map<string, RegionProcess>();
  const asked = stopAsked(shell, () => {
    for (const region of processes.values()) region.kill();
    shell.exit(INTERRUPTED);
  });

  let edge: Edge | null = null;
  try {
    const begin = (name: string, command: readonly string[]): RegionProcess => {
      const begun = runRegion({
        name,
        clock,
        start: (listeners) => startChild({ ...options, ...listeners, command }),
        onLine: (text) => line(text, name),
        note: (level, message) => logOf(name)[level](message),
      });
      processes.set(name, begun);
      return begun;
    };
    if (options.coordinator !== null) begin(COORDINATOR, options.coordinator);
    const running = regions.map((name) => begin(name, options.command(name)));
    const allReady = Promise.all(running.map((region) => region.ready)).then(() => 'ready' as const);
    if ((await Promise.race([allReady, asked])) === 'ready') {
      edge = await startEdge({ host: shell.host, topology, log: logOf('edge') });
      const noneLeft = Promise.all(running.map((region) => region.lost)).then((failures) => {
        throw failures[0] as Failure;
      });
      await Promise.race([Promise.all([asked, options.onReady(edge, log)]), asked, noneLeft]);
    }
    log.info('stopping');
  } finally {
    const agreed = processes.get(COORDINATOR);
    const others = [...processes.values()].filter((one) => one !== agreed);
    await Promise.all([edge?.drain(), ...others.map((region) => region.stop(STOP_GRACE_MS))]);
    // Last: regions that still write renew their leases by it.
    await agreed?.stop(STOP_GRACE_MS);
  }
  log.info('stopped');
  return 0;
}

/** Resolves at the first signal; a second Ctrl-C calls `again`. */
function stopAsked(shell: Shell, again: () => void): Promise<'stop'> {
  const { clock } = shell.host;
  return new Promise((resolve) => {
    let firstMs: number | null = null;
    shell.onSignal((signal) => {
      const nowMs = clock.monotonicMs();
      if (firstMs === null) {
        firstMs = nowMs;
        resolve('stop');
      } else if (signal === 'SIGINT' && nowMs - firstMs > SIGNAL_ECHO_MS) again();
    });
  });
}

type Write = (level: 'info' | 'warn' | 'error', message: string, fields: Fields | undefined) => void;

function logOver(write: Write): Log {
  const log: Log = {
    debug() {},
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, plain(fields)),
    with: (more) => logOver((level, message, fields) => write(level, message, { ...more, ...fields })),
  };
  return log;
}

/** JSON drops what makes an Error: its stack says it. */
function plain(fields: Fields | undefined): Fields | undefined {
  const error = fields?.['error'];
  return error instanceof Error
    ? { ...fields, error: { message: error.message, stack: error.stack } }
    : fields;
}
