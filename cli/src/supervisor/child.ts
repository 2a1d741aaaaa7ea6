/**
 * A region's process and its supervisor: both ends of the channel between them. The child ends when the channel does,
 * for whatever reason, so that a supervisor that was killed leaves no orphan.
 *
 * This is the rim of the command line towards processes: the host's door has no processes behind it.
 */
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** What a region's process tells. */
export type Report =
  | { readonly kind: 'ready'; readonly url: string }
  /** It cannot start: `sentence` says why. `lasting`: it could not either if it were tried again. */
  | { readonly kind: 'failed'; readonly sentence: string; readonly lasting: boolean };

/** What it is told. */
export type Order = { readonly kind: 'drain' };

export interface ChildOptions {
  /** Script and its arguments. */
  readonly command: readonly string[];
  /** Added to the environment of this process. */
  readonly environment: Readonly<Record<string, string>>;
  readonly onReport: (report: Report) => void;
  readonly onLine: (line: string) => void;
  /** Once, after the last line. */
  readonly onExit: (how: string) => void;
}

export interface Child {
  readonly processId: number | undefined;
  tell(order: Order): void;
  /** SIGKILL. */
  kill(): void;
}

export function startChild(options: ChildOptions): Child {
  const child = spawn(process.execPath, options.command, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, ...options.environment },
  });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream as Readable, crlfDelay: Number.POSITIVE_INFINITY }).on(
      'line',
      options.onLine,
    );
  }
  child.on('message', (message) => options.onReport(message as Report));
  let failure = '';
  child.on('error', (error) => {
    failure = error.message; // it could not be spawned, or the channel broke
    if (child.pid === undefined) options.onExit(failure);
  });
  child.on('close', (code, signal) => options.onExit(howItEnded(code, signal)));
  return {
    processId: child.pid,
    tell(order) {
      if (child.connected) child.send(order, () => {}); // it may be gone: its exit tells
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

function howItEnded(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}

/**
 * From now on the process cannot write files beyond so many bytes (setrlimit(2), RLIMIT_FSIZE, soft): a write fails with
 * EFBIG, since Node ignores the signal. Linux alone.
 * @param bytes null: as many as it likes
 * @returns what went wrong; null: nothing
 */
export function limitFiles(processId: number, bytes: number | null): Promise<string | null> {
  const limit = `--fsize=${bytes ?? 'unlimited'}:`;
  return new Promise((resolve) => {
    execFile('prlimit', ['--pid', String(processId), limit], (error) => resolve(error?.message ?? null));
  });
}

/** The child's end of the channel. */
export interface Supervision {
  report(report: Report): void;
  onOrder(listener: (order: Order) => void): void;
  /** Once: the supervisor is gone. */
  onLost(listener: () => void): void;
}

/** Null in a process that no supervisor started. */
export function supervision(
  self: Pick<NodeJS.Process, 'send' | 'on' | 'once' | 'connected'>,
): Supervision | null {
  if (self.send === undefined) return null;
  return {
    report: (report) => void self.send?.(report, undefined, undefined, () => {}),
    onOrder: (listener) => void self.on('message', (message) => listener(message as Order)),
    onLost(listener) {
      if (self.connected) self.once('disconnect', listener);
      else listener();
    },
  };
}
