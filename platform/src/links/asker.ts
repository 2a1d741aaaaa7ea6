/**
 * The asking side of a link: many requests and streams in flight over one channel, told apart by id.
 *
 * When the link breaks, a request whose frame had not been written yet fails with `partition-unavailable` (nothing can
 * have happened), one that had with `unknown-outcome`; so does one that is not answered in time.
 */
import { CardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { Clock, Timer } from '../host/host.ts';
import {
  type Channel,
  FRAME_BYTES_MAX,
  fitsFrame,
  Kind,
  type Outgoing,
  QUEUE_CHARS_MAX,
  watchSilence,
} from './channel.ts';
import { decodeFailure } from './failure.ts';

export interface Asker {
  /** @param signal its reason is a CardumeError: the peer is told that nobody waits for its answer */
  request(text: string, signal?: AbortSignal): Promise<Json>;
  stream(text: string, signal: AbortSignal): AsyncGenerator<Json, void, undefined>;
  readonly requests: number;
  readonly streams: number;
  /** False once the peer has said that it leaves. */
  readonly usable: boolean;
  close(reason: string): void;
}

export interface AskerOptions {
  readonly peer: string;
  readonly timeoutMs: number;
  readonly requestsMax: number;
}

/** Items that a stream may run ahead of its consumer. */
export const STREAM_ITEMS_AHEAD_MAX = 64;

interface Pending {
  readonly frame: Outgoing;
  readonly deadlineMs: number;
  readonly resolve: (answer: Json) => void;
  readonly reject: (error: CardumeError) => void;
  /** Of its signal. */
  readonly unhear: () => void;
}

interface Incoming {
  readonly frame: Outgoing;
  items: Json[];
  /** True when nothing more comes; `error` says why, or null. */
  ended: boolean;
  error: CardumeError | null;
  wake: () => void;
}

/** @param closed called once, when the channel has ended and every request has its failure */
export function openAsker(
  clock: Clock,
  channel: Channel,
  options: AskerOptions,
  closed: (reason: string) => void,
): Asker {
  const { peer, timeoutMs, requestsMax } = options;
  // A Map keeps the order of arrival, and all have the same time-out: the first is the first to expire.
  const pending = new Map<number, Pending>();
  const incoming = new Map<number, Incoming>();
  let sweep: Timer | null = null;
  let ids = 0;
  let usable = true;

  channel.onFrame = (kind, id, text) => {
    try {
      arrived(kind, id, text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      channel.close('a frame is not JSON');
    }
  };
  channel.onClose = (reason) => {
    usable = false;
    sweep?.cancel();
    for (const request of pending.values()) {
      request.unhear();
      request.reject(broken(request.frame, reason));
    }
    pending.clear();
    for (const stream of incoming.values()) finish(stream, broken(null, reason));
    incoming.clear();
    closed(reason);
  };
  watchSilence(clock, channel, timeoutMs, () => pending.size + incoming.size > 0, true);

  function arrived(kind: number, id: number, text: string): void {
    switch (kind) {
      case Kind.answer: {
        const answer: Json = JSON.parse(text);
        settle(id)?.resolve(answer);
        return;
      }
      case Kind.error: {
        const failure = decodeFailure(text);
        settle(id)?.reject(failure);
        finish(incoming.get(id), failure);
        return;
      }
      case Kind.next: {
        const stream = incoming.get(id);
        if (stream === undefined) return; // cancelled meanwhile
        stream.items.push(JSON.parse(text));
        if (stream.items.length <= STREAM_ITEMS_AHEAD_MAX) stream.wake();
        else channel.close('the peer sends more than it has credit for');
        return;
      }
      case Kind.end:
        finish(incoming.get(id), null);
        return;
      case Kind.leaving:
        usable = false;
        closeWhenIdle();
        return;
      default: // pong, and what later versions add
    }
  }

  function settle(id: number): Pending | undefined {
    const request = pending.get(id);
    if (request !== undefined) {
      pending.delete(id);
      request.unhear();
      if (!usable) closeWhenIdle();
    }
    return request;
  }

  function finish(stream: Incoming | undefined, error: CardumeError | null): void {
    if (stream === undefined || stream.ended) return;
    stream.ended = true;
    stream.error = error;
    stream.wake();
  }

  function closeWhenIdle(): void {
    if (pending.size + incoming.size === 0) channel.close('the peer is shutting down');
  }

  function broken(frame: Outgoing | null, reason: string): CardumeError {
    if (frame?.state === 'written') {
      return new CardumeError(
        'unknown-outcome',
        `the link to '${peer}' broke before the answer came: ${reason}`,
      );
    }
    return new CardumeError('partition-unavailable', `the link to '${peer}' broke: ${reason}`);
  }

  function expire(): void {
    sweep = null;
    const nowMs = clock.monotonicMs();
    for (const [id, request] of pending) {
      if (request.deadlineMs > nowMs) break;
      pending.delete(id);
      request.unhear();
      request.reject(
        channel.drop(request.frame)
          ? new CardumeError('partition-unavailable', `'${peer}' took nothing for ${timeoutMs} ms`)
          : new CardumeError('unknown-outcome', `'${peer}' did not answer within ${timeoutMs} ms`),
      );
    }
    if (!usable) closeWhenIdle();
    schedule();
  }

  function schedule(): void {
    const first = pending.values().next().value;
    if (sweep !== null || first === undefined) return;
    sweep = clock.after(Math.max(1, Math.ceil(first.deadlineMs - clock.monotonicMs())), expire);
  }

  function nextId(): number {
    do ids = (ids + 1) >>> 0;
    while (pending.has(ids) || incoming.has(ids));
    return ids;
  }

  /** @returns why nothing more can be sent now */
  function refusal(text: string): CardumeError | null {
    if (channel.closed) return broken(null, 'it is closed');
    if (pending.size + incoming.size >= requestsMax) {
      return new CardumeError('overloaded', `${requestsMax} requests to '${peer}' are in flight`);
    }
    if (channel.queuedChars > QUEUE_CHARS_MAX)
      return new CardumeError('overloaded', `'${peer}' reads too slowly`);
    if (!fitsFrame(text))
      return new CardumeError('body-too-large', `a message holds ${FRAME_BYTES_MAX} bytes`);
    return null;
  }

  return {
    get requests() {
      return pending.size;
    },
    get streams() {
      return incoming.size;
    },
    get usable() {
      return usable;
    },
    request(text, signal) {
      const refused = signal?.aborted === true ? (signal.reason as CardumeError) : refusal(text);
      if (refused !== null) return Promise.reject(refused);
      return new Promise((resolve, reject) => {
        const id = nextId();
        const frame = channel.send(Kind.request, id, text);
        const leave = (): void => {
          if (settle(id) === undefined) return;
          if (!channel.drop(frame)) channel.send(Kind.cancel, id, '');
          reject(signal?.reason);
        };
        const unhear = (): void => signal?.removeEventListener('abort', leave);
        signal?.addEventListener('abort', leave);
        pending.set(id, { frame, deadlineMs: clock.monotonicMs() + timeoutMs, resolve, reject, unhear });
        if (sweep === null) schedule();
      });
    },
    async *stream(text, signal) {
      if (signal.aborted) return;
      const refused = refusal(text);
      if (refused !== null) throw refused;
      const id = nextId();
      const stream: Incoming = {
        frame: channel.send(Kind.stream, id, text),
        items: [],
        ended: false,
        error: null,
        wake: () => {},
      };
      incoming.set(id, stream);
      const abort = (): void => stream.wake();
      signal.addEventListener('abort', abort);
      let consumed = 0;
      try {
        while (!signal.aborted) {
          const item = stream.items.shift();
          if (item !== undefined) {
            consumed += 1;
            if (consumed === STREAM_ITEMS_AHEAD_MAX / 2 && !stream.ended) {
              channel.send(Kind.credit, id, String(consumed));
              consumed = 0;
            }
            yield item;
          } else if (stream.ended) {
            if (stream.error !== null) throw stream.error;
            return;
          } else {
            await new Promise<void>((resolve) => {
              stream.wake = resolve;
            });
          }
        }
      } finally {
        signal.removeEventListener('abort', abort);
        incoming.delete(id);
        if (!stream.ended && !channel.drop(stream.frame)) channel.send(Kind.cancel, id, '');
        if (!usable) closeWhenIdle();
      }
    },
    close(reason) {
      // What has not left is not sent any more, so its callers can be told that nothing happened.
      for (const { frame } of pending.values()) channel.drop(frame);
      for (const { frame } of incoming.values()) channel.drop(frame);
      channel.close(reason);
    },
  };
}
