/**
 * Carries out the effects that processes want. They run side by side up to a bound; one that fails with a retryable
 * error is tried again with growing pauses until its process no longer wants it, and so, without complaint, is one that
 * says `notYet`. An effect that throws anything else is a bug: it is reported and tried again at the longest pause,
 * since an order must end. An attempt that hangs loses its seat after a minute, and what it comes to later counts for
 * nothing.
 */
import { CardumeError, errors } from '../base/errors.ts';
import type { Host, Timer } from '../host/host.ts';
import type { Typed } from './aggregate.ts';
import { type Bus, lasting } from './bus.ts';
import { openFarTimers } from './far-timers.ts';
import { type Effect, notYet, type Process } from './process.ts';

export interface Effects {
  /** Starts one; it goes on until it has an outcome, which is sent to the aggregate, or is cancelled. */
  begin(of: Doer, effect: Effect): Timer;
  /** Nothing begins any more, and outcomes of what is under way are dropped. Pauses are their processes' to cancel. */
  close(): void;
}

/** Whose effect it is. */
export interface Doer {
  readonly id: string;
  readonly process: Process;
  /** It was open before this start: whatever it wants may have been under way. */
  readonly recovered: boolean;
}

export interface EffectsOptions {
  readonly host: Host;
  readonly bus: Bus;
  readonly service: string;
  readonly ports: Readonly<Record<string, unknown>>;
  /** A line for the operator: an effect that fails again and again. */
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** Attempts at once; timers that are due come on top, since they only send a command. */
const ATTEMPTS_MAX = 4_096;
const ATTEMPT_MS_MAX = 60_000;
const PAUSE_MS_FIRST = 50;
const PAUSE_MS_MAX = 10_000;
const NOT_YET_PAUSE_MS_MAX = 2_000;
const REPORT_AFTER_FAILURES = 5;

type Run = Extract<Effect, { kind: 'work' }>['run'];

export function openEffects(options: EffectsOptions): Effects {
  const { host, bus, ports, service, report } = options;
  const timers = openFarTimers(host.clock);
  const own = lasting(bus);
  const waiting: Working[] = [];
  /** In order of their deadlines. */
  const underWay = new Set<Working>();
  let watch: Timer | null = null;
  let closed = false;

  class Working implements Timer {
    readonly of: Doer;
    readonly key: string;
    readonly run: Run;
    attempts = 0;
    failures = 0;
    isCancelled = false;
    pause: Timer | null = null;
    untilMs = 0;

    constructor(of: Doer, key: string, run: Run) {
      this.of = of;
      this.key = `${of.process.name}/${of.id}/${key}`;
      this.run = run;
    }

    cancel(): void {
      this.isCancelled = true;
      this.pause?.cancel();
    }
  }

  function enqueue(one: Working): void {
    if (underWay.size < ATTEMPTS_MAX) attempt(one);
    else waiting.push(one);
  }

  function attempt(one: Working): void {
    one.attempts += 1;
    one.untilMs = host.clock.monotonicMs() + ATTEMPT_MS_MAX;
    underWay.add(one);
    // One timer looks after all attempts: most end within milliseconds.
    watch ??= host.clock.after(ATTEMPT_MS_MAX, look);
    void carryOut(one, one.attempts);
  }

  async function carryOut(one: Working, number: number): Promise<void> {
    const { of, key } = one;
    try {
      const again = number > 1 || of.recovered;
      const outcome = await one.run({ bus: own, ports, key, again, nowMs: host.clock.nowMs() });
      const isWanted = !isOver(one, number);
      if (isWanted && outcome === notYet) tryAgain(one, pauseAfter(number, NOT_YET_PAUSE_MS_MAX));
      else if (isWanted && outcome !== null) await send(of, outcome as Typed);
    } catch (error) {
      if (!isOver(one, number)) failed(one, error);
    }
    if (one.attempts === number) leave(one);
  }

  /** Nobody waits for this attempt any more. */
  function isOver(one: Working, number: number): boolean {
    return closed || one.isCancelled || one.attempts !== number || !underWay.has(one);
  }

  function send({ process, id }: Doer, command: Typed): Promise<unknown> {
    return bus.send({ service, aggregate: process.of.name }, id, command);
  }

  function leave(one: Working): void {
    if (!underWay.delete(one)) return;
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (next.isCancelled || closed) continue;
      attempt(next);
      break;
    }
  }

  function failed(one: Working, error: unknown): void {
    one.failures += 1;
    const isBug = !(error instanceof CardumeError && errors[error.code].retryable);
    if (isBug || one.failures % REPORT_AFTER_FAILURES === 0) {
      const { key: effect, attempts } = one;
      report('an effect of a process failed and will be tried again', { effect, attempts, error });
    }
    tryAgain(one, isBug ? PAUSE_MS_MAX : pauseAfter(one.attempts));
  }

  function pauseAfter(attempts: number, msMax = PAUSE_MS_MAX): number {
    return Math.min(msMax, PAUSE_MS_FIRST * 2 ** (attempts - 1));
  }

  function tryAgain(one: Working, pauseMs: number): void {
    one.pause = host.clock.after(pauseMs * (0.5 + host.random.fraction()), () => {
      if (!closed && !one.isCancelled) enqueue(one);
    });
  }

  function look(): void {
    watch = null;
    if (closed) return;
    const nowMs = host.clock.monotonicMs();
    for (const one of underWay) {
      if (one.untilMs > nowMs) {
        watch ??= host.clock.after(one.untilMs - nowMs, look);
        break;
      }
      if (!one.isCancelled)
        failed(one, new CardumeError('deadline-exceeded', `it did not end within ${ATTEMPT_MS_MAX} ms`));
      leave(one);
    }
  }

  function begin(of: Doer, effect: Effect): Timer {
    if (effect.kind === 'timer') {
      const { key, atMs, command } = effect;
      let sending: Working | null = null;
      const timer = timers.at(atMs, () => {
        sending = new Working(of, key, async () => command);
        attempt(sending);
      });
      return {
        cancel() {
          timer.cancel();
          sending?.cancel();
        },
      };
    }
    const one = new Working(of, effect.key, effect.run);
    enqueue(one);
    return one;
  }

  return {
    begin,
    close() {
      closed = true;
      watch?.cancel();
      timers.close();
    },
  };
}
