/**
 * Server-sent events (WHATWG HTML, section 9.2) to one client. Events are pulled only when the client has taken the
 * earlier ones, so that memory stays bounded; a client that takes nothing for `stalledMs` is disconnected and comes
 * back with `Last-Event-ID`. A comment keeps idle connections open through proxies.
 */
import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '../host/host.ts';
import type { ServerSentEvent } from './operation.ts';

/** The part of an HTTP response that is needed here. */
export interface EventSink {
  /** @returns false when the client is slow: write again after `onDrain` */
  write(text: string): boolean;
  onceDrained(listener: () => void): void;
  end(): void;
  /** Cuts the connection. */
  destroy(): void;
}

export function responseSink(response: ServerResponse): EventSink {
  return {
    write: (text) => response.write(text),
    onceDrained: (listener) => void response.once('drain', listener),
    end: () => void response.end(),
    destroy: () => void response.destroy(),
  };
}

export interface EventStream {
  /** Ends the stream in order: the client is gone, or the instance drains. Twice does nothing. */
  stop(): void;
  /** Resolves when the last byte is handed over. */
  readonly ended: Promise<void>;
}

export interface EventStreamOptions {
  readonly clock: Clock;
  readonly heartbeatMs?: number;
  readonly stalledMs?: number;
  /** The source failed: what was sent is fine, the stream breaks off. */
  onFailure(error: unknown): void;
}

const HEARTBEAT_MS = 15_000;
const STALLED_MS = 10_000;
/** What a client waits before it comes back. */
const RETRY_MS = 2_000;

export function streamEvents(
  events: AsyncIterable<ServerSentEvent>,
  sink: EventSink,
  options: EventStreamOptions,
): EventStream {
  const { clock, heartbeatMs = HEARTBEAT_MS, stalledMs = STALLED_MS } = options;
  const source = events[Symbol.asyncIterator]();
  const { promise: stopped, resolve: stop } = Promise.withResolvers<'stopped'>();
  let isStalled = false;
  let heartbeat: Timer | null = null;

  function beat(): void {
    heartbeat = clock.after(heartbeatMs, () => {
      if (!isStalled) sink.write(':\n\n');
      beat();
    });
  }

  /** @returns whether the client took it in time */
  async function deliver(text: string): Promise<boolean> {
    if (sink.write(text)) return true;
    isStalled = true;
    const { promise: drained, resolve } = Promise.withResolvers<boolean>();
    sink.onceDrained(() => resolve(true));
    const timer = clock.after(stalledMs, () => resolve(false));
    const taken = await Promise.race([drained, stopped.then(() => true)]);
    timer.cancel();
    isStalled = false;
    return taken;
  }

  async function pump(): Promise<void> {
    beat();
    try {
      let taken = await deliver(`retry: ${RETRY_MS}\n\n`);
      while (taken) {
        const next = await Promise.race([source.next(), stopped]);
        if (next === 'stopped' || next.done === true) return sink.end();
        taken = await deliver(formatEvent(next.value));
      }
      sink.destroy();
    } catch (error) {
      options.onFailure(error);
      sink.destroy();
    } finally {
      heartbeat?.cancel();
      // A source that waits for its next event ends by the operation's signal; nobody waits for it here.
      source.return?.()?.catch(options.onFailure);
    }
  }

  return { stop: () => stop('stopped'), ended: pump() };
}

const LINE_BREAKS = /[\r\n\0]/;

/** @throws Error when the id or the type has a line break: a bug of the operation */
export function formatEvent({ id, event, data }: ServerSentEvent): string {
  if (LINE_BREAKS.test(id) || LINE_BREAKS.test(event))
    throw new Error('an event id or type holds a line break');
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
