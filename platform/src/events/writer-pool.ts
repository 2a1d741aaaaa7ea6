/**
 * A bounded number of writer threads, shared by the shards of a process: an idle thread costs some 4 MB, and threads
 * beyond the cores gain nothing. A shard takes a seat on the thread with the fewest; threads start when needed.
 * When a thread ends by itself, its shards are told (`onLost`), and the next message starts it anew.
 */
import { assert } from '../base/assert.ts';
import { CardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import type { Thread } from '../host/threads.ts';
import type { Batch, Outcome } from './batch.ts';
import { type FromThread, fromWire, type Request, type ToThread, type WriterInit } from './wire.ts';

export interface WriterPool {
  /**
   * Up to when homes may be written, by the monotonic clock: of a pool that is leased. Before it is told, and from then on,
   * every append is refused with `partition-unavailable`. Copies need no lease.
   */
  lease(untilMs: number): void;
  takeSeat(listener: SeatListener): Seat;
  /** Ends the threads; the logs are closed before. */
  close(): Promise<void>;
}

export interface SeatListener {
  onAppended(outcome: Outcome, report: unknown): void;
  /** The thread ended with all that was under way; pending requests have been rejected. */
  onLost(error: Error | null): void;
}

export interface Seat {
  /** @throws CardumeError (rejects) what the thread threw; `storage-failed` when it ended first */
  request(body: Request): Promise<unknown>;
  append(batch: Batch): void;
  leave(): void;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

interface Taken {
  readonly listener: SeatListener;
  readonly waiting: Map<number, Waiting>;
}

interface Writer {
  readonly name: string;
  thread: Thread | null;
  readonly seats: Map<number, Taken>;
}

const MODULE = new URL('./writer-thread.ts', import.meta.url);

export interface WriterPoolOptions {
  readonly threadsMax: number;
  /** Nothing is appended without a lease: see `WriterPool.lease`. */
  readonly leased?: boolean;
}

export function startWriterPool(host: Host, { threadsMax, leased = false }: WriterPoolOptions): WriterPool {
  assert(threadsMax >= 1, 'a pool has at least one thread');
  const writers: Writer[] = [];
  let seatsTaken = 0;
  let requests = 0;
  let closed = false;
  let leaseUntilMs = leased ? Number.NEGATIVE_INFINITY : null;

  function leastLoaded(): Writer {
    const free = writers.reduce<Writer | null>(
      (best, writer) => (best === null || writer.seats.size < best.seats.size ? writer : best),
      null,
    );
    if (free !== null && (free.seats.size === 0 || writers.length === threadsMax)) return free;
    const writer: Writer = { name: `writer-${writers.length + 1}`, thread: null, seats: new Map() };
    writers.push(writer);
    return writer;
  }

  function threadOf(writer: Writer): Thread {
    if (closed) throw new CardumeError('draining', 'the pool of writers is closed');
    if (writer.thread !== null) return writer.thread;
    const thread = host.threads.spawn(MODULE, writer.name, { leaseUntilMs } satisfies WriterInit);
    writer.thread = thread;
    thread.onMessage((message: FromThread) => {
      if (writer.thread === thread) receive(writer, message);
    });
    thread.onExit((error) => {
      writer.thread = null;
      for (const { listener, waiting } of [...writer.seats.values()]) {
        const lost = new CardumeError(
          'storage-failed',
          `${writer.name} ended: ${error?.message ?? 'stopped'}`,
          {
            cause: error ?? undefined,
          },
        );
        for (const one of waiting.values()) one.reject(lost);
        waiting.clear();
        listener.onLost(error);
      }
    });
    return thread;
  }

  function receive(writer: Writer, message: FromThread): void {
    const seat = writer.seats.get(message.shard);
    if (seat === undefined) return; // it left while the message was under way
    if ('appended' in message) {
      seat.listener.onAppended(message.appended, message.report);
      return;
    }
    const one = seat.waiting.get(message.reply);
    assert(one !== undefined, 'a reply has its request');
    seat.waiting.delete(message.reply);
    if ('error' in message) one.reject(fromWire(message.error));
    else one.resolve(message.value);
  }

  return {
    lease(untilMs) {
      assert(leaseUntilMs !== null, 'the pool is one that is leased');
      leaseUntilMs = untilMs;
      for (const { thread } of writers) thread?.post({ leaseUntilMs } satisfies ToThread);
    },
    takeSeat(listener) {
      const writer = leastLoaded();
      seatsTaken += 1;
      const shard = seatsTaken;
      const waiting = new Map<number, Waiting>();
      writer.seats.set(shard, { listener, waiting });
      return {
        request(body) {
          return new Promise((resolve, reject) => {
            requests += 1;
            const request = requests;
            threadOf(writer).post({ shard, request, body } satisfies ToThread); // a throw rejects the promise
            waiting.set(request, { resolve, reject });
          });
        },
        append(append) {
          if (closed) listener.onLost(null);
          else threadOf(writer).post({ shard, append } satisfies ToThread);
        },
        leave: () => void writer.seats.delete(shard),
      };
    },
    async close() {
      closed = true;
      await Promise.all(writers.map(async (writer) => writer.thread?.stop()));
    },
  };
}
