/** The answering side of a link: serves the requests and streams of one proven peer. */
import { CardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { Clock } from '../host/host.ts';
import { STREAM_ITEMS_AHEAD_MAX } from './asker.ts';
import { type Channel, FRAME_BYTES_MAX, fitsFrame, Kind, QUEUE_CHARS_MAX, watchSilence } from './channel.ts';
import { encodeFailure, nobodyWaits } from './failure.ts';

/**
 * Answers a message: a promise for a request, items for a stream. It may throw at once.
 * @param signal the peer waits no more, or the link is gone; its reason is a CardumeError
 */
export type Serve = (from: string, message: Json, signal: AbortSignal) => Promise<Json> | AsyncIterable<Json>;

export interface Answerer {
  readonly serving: number;
  /** No new requests; streams end; the peer closes the link when it has its answers. */
  leave(): void;
  close(reason: string): void;
}

export interface AnswererOptions {
  readonly peer: string;
  readonly timeoutMs: number;
  readonly requestsMax: number;
  readonly serve: Serve;
  /** Of errors that are no CardumeError: bugs. The peer learns `internal` and nothing else. */
  readonly report: (error: unknown) => void;
}

interface Outflow {
  credit: number;
  wake: () => void;
  readonly cancel: AbortController;
}

export function openAnswerer(
  clock: Clock,
  channel: Channel,
  options: AnswererOptions,
  closed: () => void,
): Answerer {
  const { peer, timeoutMs, requestsMax, serve, report } = options;
  const outflows = new Map<number, Outflow>();
  const requests = new Map<number, AbortController>();
  let leaving = false;

  channel.onFrame = (kind, id, text) => {
    switch (kind) {
      case Kind.request:
        return answer(id, text);
      case Kind.stream:
        return void flow(id, text);
      case Kind.cancel: {
        requests.get(id)?.abort(nobodyWaits());
        const outflow = outflows.get(id);
        outflow?.cancel.abort(nobodyWaits());
        outflow?.wake();
        return;
      }
      case Kind.credit: {
        const outflow = outflows.get(id);
        if (outflow === undefined) return;
        outflow.credit = Math.min(STREAM_ITEMS_AHEAD_MAX, outflow.credit + Number(text));
        return outflow.wake();
      }
      case Kind.ping:
        return void channel.send(Kind.pong, 0, '');
      default: // what later versions add
    }
  };
  channel.onClose = () => {
    for (const request of requests.values()) request.abort(nobodyWaits());
    for (const outflow of outflows.values()) {
      outflow.cancel.abort(nobodyWaits());
      outflow.wake();
    }
    closed();
  };
  // The peer pings as long as it has a stream open.
  watchSilence(clock, channel, 3 * timeoutMs, () => outflows.size > 0, false);

  function fail(id: number, error: unknown): void {
    if (error instanceof CardumeError) return void channel.send(Kind.error, id, encodeFailure(error));
    report(error);
    channel.send(Kind.error, id, encodeFailure(new CardumeError('internal', 'Something broke on our side.')));
  }

  function started(text: string, signal: AbortSignal): Promise<Json> | AsyncIterable<Json> {
    if (leaving) throw new CardumeError('draining', 'the instance is shutting down');
    if (requests.size + outflows.size > requestsMax) {
      throw new CardumeError('overloaded', `${requestsMax} requests of '${peer}' are being served`);
    }
    return serve(peer, JSON.parse(text) as Json, signal);
  }

  /** Answers are written whatever waits: the asker bounds how many there are. Their size is bounded here. */
  function send(kind: number, id: number, value: Json | undefined): void {
    const text = JSON.stringify(value ?? null);
    if (!fitsFrame(text)) {
      fail(
        id,
        new CardumeError(
          'query-refused',
          `the answer is larger than the ${FRAME_BYTES_MAX} bytes of a message`,
        ),
      );
    } else if (channel.queuedChars > QUEUE_CHARS_MAX) {
      fail(id, new CardumeError('unknown-outcome', `'${peer}' reads too slowly to be answered`));
    } else {
      channel.send(kind, id, text);
    }
  }

  function answer(id: number, text: string): void {
    const cancel = new AbortController();
    requests.set(id, cancel);
    const done = (finish: () => void): void => {
      requests.delete(id);
      if (channel.closed) return;
      try {
        finish();
      } catch (error) {
        fail(id, error); // an answer that is no JSON
      }
    };
    let answering: Promise<Json> | AsyncIterable<Json>;
    try {
      answering = started(text, cancel.signal);
    } catch (error) {
      done(() => fail(id, error));
      return;
    }
    if (!('then' in answering)) {
      done(() => fail(id, new Error('a stream was asked for as one answer')));
      return;
    }
    answering.then(
      (value) => done(() => send(Kind.answer, id, value)),
      (error: unknown) => done(() => fail(id, error)),
    );
  }

  async function flow(id: number, text: string): Promise<void> {
    const outflow: Outflow = {
      credit: STREAM_ITEMS_AHEAD_MAX,
      wake: () => {},
      cancel: new AbortController(),
    };
    const { signal } = outflow.cancel;
    outflows.set(id, outflow);
    try {
      const items = started(text, signal);
      if ('then' in items) {
        await items; // its own failure comes first
        throw new Error('one answer was asked for as a stream');
      }
      const iterator = items[Symbol.asyncIterator]();
      try {
        while (!signal.aborted) {
          if (outflow.credit === 0) {
            await new Promise<void>((resolve) => {
              outflow.wake = resolve;
            });
            continue;
          }
          const item = await iterator.next();
          if (item.done === true) break;
          outflow.credit -= 1;
          if (!signal.aborted) send(Kind.next, id, item.value);
        }
      } finally {
        await iterator.return?.();
      }
      if (leaving) throw new CardumeError('draining', 'the instance is shutting down');
      if (!channel.closed) channel.send(Kind.end, id, '');
    } catch (error) {
      if (!channel.closed) fail(id, error);
      else if (!(error instanceof CardumeError)) report(error);
    } finally {
      outflows.delete(id);
    }
  }

  return {
    get serving() {
      return requests.size + outflows.size;
    },
    leave() {
      if (leaving || channel.closed) return;
      leaving = true;
      channel.send(Kind.leaving, 0, '');
      for (const outflow of outflows.values()) {
        outflow.cancel.abort(nobodyWaits());
        outflow.wake();
      }
    },
    close: (reason) => channel.close(reason),
  };
}
