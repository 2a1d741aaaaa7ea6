/**
 * A client as a good one is written: it tries again, with pauses and often elsewhere, until it has a final answer or
 * its patience ends. What it may be told is stated with each request; anything else is wrong.
 */
import type { Clock } from 'cardume/host';
import type { RandomStream } from 'cardume/testing/simulated/stream';
import type { Coverage } from '../coverage.ts';
import type { History } from '../history.ts';
import { pause } from '../plan.ts';
import type { Reply, Request, Transport } from '../transport.ts';

/** What clients stand on. */
export interface Ground {
  readonly clock: Clock;
  /** Virtual milliseconds since the start, or those since the start of a run over real processes. */
  readonly elapsedMs: () => number;
  readonly regions: readonly string[];
  readonly history: History;
  readonly coverage: Coverage;
  readonly staffToken: string;
  readonly thinkMs: number;
  /** Customers place orders and do nothing else. */
  readonly isRush: boolean;
  /** What is acknowledged of orders may be lost with its region. */
  readonly mayLoseOrders: boolean;
  /** Customers move to other regions. */
  readonly canMove: boolean;
  /** Nothing new is begun any more. */
  readonly isOver: () => boolean;
  readonly wrong: (what: string) => void;
  /** Takes an answer into the run's hash. */
  readonly note: (text: string) => void;
}

export interface Told {
  /** Null: no final answer came. */
  readonly reply: Reply | null;
  /** The first attempt, and the one that was answered last. */
  readonly fromMs: number;
  readonly lastFromMs: number;
  readonly untilMs: number;
  readonly attempts: number;
  readonly region: string;
}

/** Statuses that say: later, perhaps. */
const AGAIN: ReadonlySet<number> = new Set([408, 429, 500, 503]);
const PATIENCE_MS = 25_000;
const TIMEOUTS_MS = [400, 2_000, 8_000];
const PAUSE_MS_MEAN = 150;

export class Client {
  readonly name: string;
  readonly ground: Ground;
  readonly stream: RandomStream;
  readonly near: string;
  readonly #transport: Transport;

  constructor(name: string, ground: Ground, transport: Transport, stream: RandomStream) {
    this.name = name;
    this.ground = ground;
    this.stream = stream;
    this.near = this.one(ground.regions);
    this.#transport = transport;
  }

  one<Value>(choices: readonly Value[]): Value {
    return choices[this.stream.below(choices.length)] as Value;
  }

  chance(percent: number): boolean {
    return this.stream.below(100) < percent;
  }

  think(): Promise<void> {
    return this.ground.clock.sleep(pause(this.stream, this.ground.thinkMs));
  }

  anywhere(): string {
    return this.one(this.ground.regions);
  }

  /** Mostly the region near by. */
  region(): string {
    return this.chance(80) ? this.near : this.anywhere();
  }

  /**
   * @param expected statuses that may be the final answer
   * @param once writes without a key are tried once: whether they happened stays unknown
   * @param regionOf where each attempt goes
   */
  async tell(
    operation: string,
    request: Request | ((region: string) => Request),
    expected: readonly number[],
    once = false,
    regionOf: () => string = () => this.region(),
  ): Promise<Told> {
    const { clock, elapsedMs } = this.ground;
    const fromMs = elapsedMs();
    const mustAnswer = this.ground.isOver() && !once;
    let lastFromMs = fromMs;
    let region = regionOf();
    for (let attempts = 1; ; attempts += 1) {
      lastFromMs = elapsedMs();
      const asked = typeof request === 'function' ? request(region) : request;
      const reply = await this.#transport.ask(region, asked, this.one(TIMEOUTS_MS));
      const untilMs = elapsedMs();
      this.#count(operation, reply, attempts);
      if (reply !== null && !AGAIN.has(reply.status)) {
        if (!expected.includes(reply.status)) {
          const what = `${reply.status} ${JSON.stringify(reply.body)}`;
          this.ground.wrong(
            `${this.name}: ${operation} was answered ${what}; expected ${expected.join(', ')}`,
          );
        }
        return { reply, fromMs, lastFromMs, untilMs, attempts, region };
      }
      if (reply?.status === 500) {
        this.ground.wrong(`${this.name}: ${operation} was answered 500 ${JSON.stringify(reply.body)}`);
      }
      if (once || untilMs - fromMs > PATIENCE_MS) {
        if (mustAnswer) {
          const last = reply === null ? 'nothing' : `${reply.status} ${JSON.stringify(reply.body)}`;
          this.ground.wrong(
            `${this.name}: nobody answers '${operation}' in a world that is whole; ${region} told ${last} at last`,
          );
        }
        return { reply: null, fromMs, lastFromMs, untilMs, attempts, region };
      }
      await clock.sleep(pause(this.stream, PAUSE_MS_MEAN));
      region = regionOf();
    }
  }

  /** Counts an answer, and notes what is seldom reached. */
  #count(operation: string, reply: Reply | null, attempts: number): void {
    const { history, coverage, note } = this.ground;
    if (reply !== null) note(`${this.name} ${operation} ${reply.status} ${JSON.stringify(reply.body)}`);
    const code = reply === null ? 'no answer' : String(reply.body?.type ?? reply.status).replace(/.*\//, '');
    const name = `${operation}: ${code}`;
    history.answers.set(name, (history.answers.get(name) ?? 0) + 1);
    if (reply === null) coverage.reached('a request without an answer');
    else if (reply.status >= 500) coverage.reachedCode(code);
    if (reply?.headers['idempotency-replayed'] === 'true' && !this.ground.isOver()) {
      coverage.reached(
        attempts > 1 ? 'a retry was given the first answer' : 'a twin was given the first answer',
      );
    }
  }

  /** What was seen of a thing's version. */
  seen(id: string, told: Told): void {
    const etag = told.reply?.headers['etag'];
    const version = Number(/^"(\d+)"$/.exec(etag ?? '')?.[1]);
    if (Number.isNaN(version)) return;
    const { lastFromMs: fromMs, untilMs } = told;
    this.ground.history.seen.push({ client: this.name, fromMs, untilMs, id, version });
  }
}
