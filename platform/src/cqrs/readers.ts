/**
 * Reader threads: scans and reports never hold the main thread. SQLite cannot be interrupted from outside, so a scan
 * that outlives its deadline costs its thread: it is stopped, and a fresh one serves the next scan. One that nobody waits
 * for any more is given a moment first, since most end by themselves sooner than a thread starts.
 *
 * Limit: a thread ends between two steps of SQLite, and to add up, group or sort all rows is one step (`node:sqlite` has no
 * way to interrupt it). So there may be as many threads that end as ones that work, and no more are started meanwhile.
 */
import { CardumeError } from '../base/errors.ts';
import type { Host, Timer } from '../host/host.ts';
import type { Thread } from '../host/threads.ts';
import type { Within } from '../sharding/deadline.ts';
import type { Plan } from '../sharding/plan.ts';
import type { Value } from '../sharding/table.ts';
import type { Digest, Digested } from './digest.ts';
import type { Floor } from './replica.ts';

export interface Readers {
  /**
   * Scans of one plan that are asked for in one turn are read together: each returns its part of the first `plan.fetch`
   * rows of all of them, since whoever asked merges them.
   * @param path the shard's database of read models
   * @returns rows of `plan.columns`
   * @throws CardumeError `overloaded`, `deadline-exceeded`, `query-refused`
   */
  scan(path: string, plan: Plan, within: Within): Promise<Value[][]>;
  /** Of a replica. @returns null when it lacks something of the floor */
  scanFrom(path: string, plan: Plan, floor: Floor, within: Within): Promise<Value[][] | null>;
  /** On a thread of its own: scans do not wait for it. */
  digest(path: string, of: Digested): Promise<Digest>;
  /** What a scan may take. */
  readonly deadlineMs: number;
  close(): Promise<void>;
}

export interface ReadersOptions {
  readonly threadsMax: number;
  readonly deadlineMs: number;
}

export interface ScanRequest {
  readonly id: number;
  readonly paths: readonly string[];
  readonly work: Plan | Digested;
  /** What a plan's shards must have reached. */
  readonly floor?: Floor | undefined;
}

type Results = readonly (Value[][] | Digest | null)[];

export type ScanReply =
  /** Of each path. */
  | { readonly id: number; readonly results: Results }
  | { readonly id: number; readonly error: { readonly code: string; readonly detail: string } };

const QUEUE_SCANS_MAX = 1_000;
const DIGEST_MS_MAX = 600_000;
/** What a scan that nobody waits for may still take before its thread is stopped. */
const LEFT_MS_MAX = 100;

interface Scan {
  readonly request: ScanRequest;
  readonly resolve: (results: Results) => void;
  readonly reject: (error: Error) => void;
  readonly signal: AbortSignal | undefined;
  readonly left: () => void;
  deadline: Timer | null;
  /** Nobody waits for it. */
  isLeft: boolean;
  worker: Worker | null;
  /** A thread ended with it: it reads only, so it is tried again, but it may be what ends them. */
  hasFailed: boolean;
}

interface Worker {
  readonly thread: Thread;
  scan: Scan | null;
}

export function openReaders(host: Host, options: ReadersOptions): Readers {
  const shared = openThreads(host, options);
  const digests = openThreads(host, { threadsMax: 1, deadlineMs: DIGEST_MS_MAX });
  return {
    deadlineMs: options.deadlineMs,
    scan: together((paths, plan, within) =>
      spread(paths, options.threadsMax, (some) => shared.read(some, plan, within)),
    ),
    scanFrom: async (path, plan, floor, within) =>
      (await shared.read([path], plan, within, floor))[0] as Value[][] | null,
    digest: async (path, of) => (await digests.read([path], of))[0] as Digest,
    async close() {
      await shared.close();
      await digests.close();
    },
  };
}

/** Gathers what is asked of one plan in one turn, which is for one query. */
function together(
  read: (paths: readonly string[], plan: Plan, within: Within) => Promise<Results>,
): Readers['scan'] {
  interface Batch {
    readonly paths: string[];
    readonly results: Promise<Results>;
  }
  const batches = new Map<Plan, Batch>();

  function begin(plan: Plan, within: Within): Batch {
    const paths: string[] = [];
    const results = Promise.resolve().then(() => {
      if (batches.get(plan)?.paths === paths) batches.delete(plan);
      return read(paths, plan, within);
    });
    const batch = { paths, results };
    batches.set(plan, batch);
    return batch;
  }

  return async (path, plan, within) => {
    const open = batches.get(plan);
    const { paths, results } = open === undefined || open.paths.includes(path) ? begin(plan, within) : open;
    const at = paths.push(path) - 1;
    return (await results)[at] as Value[][];
  };
}

/** @param read of some of the paths; at most so many parts at a time */
async function spread(
  paths: readonly string[],
  partsMax: number,
  read: (paths: readonly string[]) => Promise<Results>,
): Promise<Results> {
  const count = Math.min(partsMax, paths.length);
  const parts = await Promise.all(
    Array.from({ length: count }, (_, part) => read(paths.filter((__, i) => i % count === part))),
  );
  return paths.map((_, i) => parts[i % count]?.[Math.floor(i / count)] as Value[][]);
}

function openThreads(host: Host, options: ReadersOptions) {
  const workers = new Set<Worker>();
  const queue: Scan[] = [];
  /** Threads that were stopped and have not ended. */
  let ending = 0;
  let ids = 0;
  let closed = false;

  function idle(): Worker | null {
    for (const worker of workers) if (worker.scan === null) return worker;
    const isFull = workers.size === options.threadsMax || workers.size + ending >= 2 * options.threadsMax;
    return isFull ? null : spawn();
  }

  function spawn(): Worker {
    const thread = host.threads.spawn(new URL('./reader-thread.ts', import.meta.url), 'reader', {});
    const worker: Worker = { thread, scan: null };
    workers.add(worker);
    thread.onMessage((reply: ScanReply) => {
      const { scan } = worker;
      worker.scan = null;
      if (scan !== null && scan.request.id === reply.id) finish(scan, reply);
      next();
    });
    thread.onExit((error) => {
      workers.delete(worker);
      const { scan } = worker;
      if (scan?.isLeft === true) end(scan);
      else if (scan !== null && !closed) {
        if (scan.hasFailed) {
          end(scan).reject(new CardumeError('internal', 'two reader threads ended', { cause: error }));
        } else {
          scan.hasFailed = true;
          queue.unshift(scan);
        }
      }
      if (!closed) next();
    });
    return worker;
  }

  function end(scan: Scan): Scan {
    scan.deadline?.cancel();
    scan.signal?.removeEventListener('abort', scan.left);
    return scan;
  }

  function finish(scan: Scan, reply: ScanReply): void {
    if ('results' in reply) end(scan).resolve(reply.results);
    else end(scan).reject(new CardumeError(reply.error.code as 'internal', reply.error.detail));
  }

  function next(): void {
    while (queue.length > 0) {
      const worker = idle();
      if (worker === null) return;
      const scan = queue.shift() as Scan;
      worker.scan = scan;
      scan.worker = worker;
      worker.thread.post(scan.request);
    }
  }

  function expired(scan: Scan, deadlineMs: number): void {
    end(scan).reject(new CardumeError('deadline-exceeded', `the scan took longer than ${deadlineMs} ms`));
    stop(scan);
  }

  /** It may still end by itself. */
  function leave(scan: Scan): void {
    end(scan).reject(scan.signal?.reason);
    scan.isLeft = true;
    const waits = queue.includes(scan);
    if (waits) stop(scan);
    else scan.deadline = host.clock.after(LEFT_MS_MAX, () => stop(scan));
  }

  function stop(scan: Scan): void {
    const waiting = queue.indexOf(scan);
    if (waiting >= 0) queue.splice(waiting, 1);
    const { worker } = scan;
    if (worker !== null && worker.scan === scan) {
      worker.scan = null;
      workers.delete(worker);
      ending += 1;
      void worker.thread.stop().finally(() => {
        ending -= 1;
        if (!closed) next();
      });
    }
    next();
  }

  function read(
    paths: readonly string[],
    work: Plan | Digested,
    within?: Within,
    floor?: Floor,
  ): Promise<Results> {
    const { signal } = within ?? {};
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (queue.length >= QUEUE_SCANS_MAX) {
      return Promise.reject(new CardumeError('overloaded', `${QUEUE_SCANS_MAX} scans wait for a reader`));
    }
    return new Promise((resolve, reject) => {
      ids += 1;
      const scan: Scan = {
        request: { id: ids, paths, work, floor },
        resolve,
        reject,
        signal,
        left: () => leave(scan),
        deadline: null,
        isLeft: false,
        worker: null,
        hasFailed: false,
      };
      const deadlineMs = Math.min(options.deadlineMs, within?.leftMs() ?? Infinity);
      scan.deadline = host.clock.after(deadlineMs, () => expired(scan, deadlineMs));
      signal?.addEventListener('abort', scan.left);
      queue.push(scan);
      next();
    });
  }

  return {
    read,
    async close() {
      closed = true;
      for (const scan of [...queue.splice(0), ...[...workers].flatMap((worker) => worker.scan ?? [])]) {
        end(scan).reject(new CardumeError('draining', 'the instance is shutting down'));
      }
      await Promise.all([...workers].map((worker) => worker.thread.stop()));
    },
  };
}
