/** A connection between simulated machines: an end on each side, and a pipe from each end to the other. */
import type { Connection } from '../../host/network.ts';
import type { Kernel } from './kernel.ts';
import type { Life } from './life.ts';
import type { RandomStream } from './stream.ts';

const IN_FLIGHT_BYTES_MAX = 64 * 1024;
/** What one read of a socket yields at most in Node. */
const CHUNK_BYTES_MAX = 64 * 1024;
const SMALL_CHUNK_BYTES_MAX = 64;

/** One direction between two machines. */
export interface Way {
  readonly name: string;
  readonly stream: RandomStream;
  latencyUs: number;
  cut: boolean;
  /** Pipes that wait for the partition to heal. */
  readonly waiting: Set<Pipe>;
}

export const delayUs = (way: Way): number => way.latencyUs * (1 + 0.1 * -Math.log(1 - way.stream.fraction()));

/** One direction of a connection. */
export class Pipe {
  readonly #kernel: Kernel;
  readonly way: Way;
  readonly #sender: () => End;
  readonly #receiver: () => End;
  #queue: { bytes: Uint8Array; readonly readyUs: number }[] = [];
  #inFlightBytes = 0;
  #refused = false;
  #scheduled = false;
  #last: { readonly reason: string; readonly readyUs: number } | null = null;

  constructor(kernel: Kernel, way: Way, sender: () => End, receiver: () => End) {
    this.#kernel = kernel;
    this.way = way;
    this.#sender = sender;
    this.#receiver = receiver;
  }

  push(bytes: Uint8Array): boolean {
    if (bytes.length > 0) {
      this.#queue.push({ bytes, readyUs: this.#kernel.nowUs + delayUs(this.way) });
      this.#inFlightBytes += bytes.length;
      this.schedule();
    }
    this.#refused ||= this.#inFlightBytes >= IN_FLIGHT_BYTES_MAX;
    return !this.#refused;
  }

  /** The sender has closed: the system delivers what it holds, what waits above its bound is lost. */
  finish(reason: string): void {
    let keptBytes = 0;
    this.#queue = this.#queue.filter(({ bytes }) => {
      keptBytes += bytes.length;
      return keptBytes <= IN_FLIGHT_BYTES_MAX;
    });
    this.#end(reason);
  }

  /** What is on the way is lost, and the receiver is told. */
  break(reason: string): void {
    this.#queue = [];
    this.#end(reason);
  }

  drop(): void {
    this.#queue = [];
    this.#last = null;
  }

  #end(reason: string): void {
    this.#last ??= { reason, readyUs: this.#kernel.nowUs + delayUs(this.way) };
    this.schedule();
  }

  schedule(): void {
    const head = this.#queue[0] ?? this.#last;
    if (this.#scheduled || head === null || head === undefined) return;
    if (this.way.cut) {
      this.way.waiting.add(this);
      return;
    }
    if (this.#queue.length > 0 && !this.#receiver().listens) return; // it calls again when it does
    this.#scheduled = true;
    const waitUs = Math.max(1, head.readyUs - this.#kernel.nowUs);
    this.#kernel.at(waitUs, 'deliver', this.way.name, () => {
      this.#scheduled = false;
      if (this.way.cut) this.schedule();
      else this.#deliver();
    });
  }

  #deliver(): void {
    if (this.#queue.length === 0) {
      if (this.#last !== null) this.#receiver().ended(this.#last.reason);
      return;
    }
    const chunk = this.#take();
    this.#inFlightBytes -= chunk.length;
    if (this.#refused && this.#queue.length === 0) {
      this.#refused = false;
      this.#sender().drained();
    }
    this.schedule();
    this.#receiver().received(chunk);
  }

  /** A piece of what has arrived: a few bytes, some, or all, over the borders of writes. */
  #take(): Uint8Array {
    const { stream } = this.way;
    let arrivedBytes = 0;
    for (const { bytes, readyUs } of this.#queue) {
      if (readyUs > this.#kernel.nowUs || arrivedBytes >= CHUNK_BYTES_MAX) break;
      arrivedBytes += bytes.length;
    }
    const bytesMax = Math.min(Math.max(arrivedBytes, 1), CHUNK_BYTES_MAX);
    const how = stream.below(8);
    const few = Math.min(bytesMax, SMALL_CHUNK_BYTES_MAX);
    const length = how === 0 ? 1 + stream.below(few) : how === 1 ? 1 + stream.below(bytesMax) : bytesMax;

    const chunk = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const first = this.#queue[0] as { bytes: Uint8Array };
      const part = first.bytes.subarray(0, length - filled);
      chunk.set(part, filled);
      filled += part.length;
      first.bytes = first.bytes.subarray(part.length);
      if (first.bytes.length === 0) this.#queue.shift();
    }
    return chunk;
  }
}

/** One end of a connection, as the code of one life holds it. */
export class End implements Connection {
  readonly #life: Life;
  readonly machine: string;
  readonly #out: Pipe;
  readonly #in: Pipe;
  readonly #data: ((bytes: Uint8Array) => void)[] = [];
  readonly #drain: (() => void)[] = [];
  readonly #close: ((reason: string) => void)[] = [];
  readonly #forget: () => void;
  #reason: string | null = null;

  constructor(life: Life, machine: string, out: Pipe, into: Pipe, onEnd: (end: End) => void) {
    this.#life = life;
    this.machine = machine;
    this.#out = out;
    this.#in = into;
    const forget = life.onEnd(() => {
      this.#out.break('the connection was reset');
      this.#shut('its process ended');
    });
    this.#forget = () => {
      forget();
      onEnd(this);
    };
  }

  get listens(): boolean {
    return this.#data.length > 0 || this.#reason !== null;
  }

  write(bytes: Uint8Array): boolean {
    return this.#reason === null && this.#out.push(bytes);
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.#data.push(listener);
    this.#in.schedule();
  }

  onDrain(listener: () => void): void {
    this.#drain.push(listener);
  }

  onClose(listener: (reason: string) => void): void {
    if (this.#reason === null) this.#close.push(listener);
    else this.#tell(this.#reason, [listener]);
  }

  close(): void {
    if (this.#reason !== null) return;
    this.#out.finish('closed by the peer');
    this.#shut('closed by this side');
  }

  reset(): void {
    this.#out.drop();
    this.#shut('the connection was reset');
  }

  received(bytes: Uint8Array): void {
    this.#life.call(() => {
      if (this.#reason === null) for (const listener of this.#data) listener(bytes);
    });
  }

  drained(): void {
    this.#life.later(1, 'drain', this.#out.way.name, () => {
      if (this.#reason === null) for (const listener of this.#drain) listener();
    });
  }

  ended(reason: string): void {
    this.#out.drop();
    this.#shut(reason);
  }

  #shut(reason: string): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#forget();
    this.#in.drop();
    this.#tell(reason, this.#close);
  }

  #tell(reason: string, listeners: readonly ((reason: string) => void)[]): void {
    this.#life.later(1, 'closed', this.#out.way.name, () => {
      for (const listener of listeners) listener(reason);
    });
  }
}
