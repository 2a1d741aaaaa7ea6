/**
 * The shop's services on one stage, in memory and on virtual time, for tests: commands, keyed answers and processes
 * behave as on the platform, and every message waits until `pick` says that it is its turn. So a test decides, or a
 * generator explores, in which order things happen, which messages are lost before or after their effect, which come
 * twice, and when everybody forgets what they were doing.
 */
import { CardumeError, errors, isCardumeError } from 'cardume/base';
import { naturalId } from 'cardume/base/id';
import type { Json } from 'cardume/base/json';
import type { Aggregate, Decision, Typed } from 'cardume/cqrs/aggregate';
import type { Answer, Bus, Loaded } from 'cardume/cqrs/bus';
import { type Effect, notYet, type Process } from 'cardume/cqrs/process';
import type { Service } from 'cardume/cqrs/service';
import type { Clock, Timer } from 'cardume/host';
import { type Geography, geography } from 'cardume/sharding/geography';
import type { Topology } from 'cardume/topology';

const topology = {
  regions: { north: { code: 1, countries: ['NO'] }, south: { code: 2, countries: ['*'] } },
  services: {
    users: { partitions: 4, globalPartitions: 4, shards: 1 },
    products: { partitions: 4, globalPartitions: 4, shards: 1 },
    orders: { partitions: 4, globalPartitions: 0, shards: 1 },
  },
} as unknown as Topology;

export const stage: Geography = geography(topology, 'north');

/** Id of a product of the stage. */
export const productNamed = (sku: string): string =>
  naturalId('prd', stage.placeInGlobal('products', sku), new TextEncoder().encode(sku.padEnd(16)));

type Fault = 'none' | 'lost' | 'answer-lost' | 'twice';

export interface Script {
  /** Which of the messages that wait goes next. */
  readonly pick: (waiting: number) => number;
  readonly fault: () => Fault;
}

const inOrder: Script = { pick: () => 0, fault: () => 'none' };

const pauseMs = 1_000;
const stepsMax = 20_000;

interface Stream {
  readonly aggregate: Aggregate;
  state: unknown;
  readonly events: { readonly event: Typed; readonly atMs: number }[];
}

interface Instance {
  state: unknown;
  readonly effects: Map<string, 'under way' | { readonly dueMs: number }>;
}

export class Rehearsal {
  readonly bus: Bus;
  readonly clock: Clock;
  nowMs = 1_700_000_000_000;
  ports: Record<string, unknown> = { geography: stage };
  readonly #services: readonly Service[];
  readonly #script: Script;
  readonly #streams = new Map<string, Stream>();
  readonly #answers = new Map<string, { fingerprint: string; answer: Answer } | { error: CardumeError }>();
  readonly #waiting: (() => void)[] = [];
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  #instances = new Map<string, Instance>();

  constructor(services: readonly Service[], script: Script = inOrder) {
    this.#services = services;
    this.#script = script;
    this.clock = {
      nowMs: () => this.nowMs,
      monotonicMs: () => this.nowMs,
      soon: (callback) => queueMicrotask(callback),
      sleep: (delayMs) => new Promise((resolve) => this.clock.after(delayMs, resolve)),
      after: (delayMs, run): Timer => {
        const timer = { atMs: this.nowMs + delayMs, run };
        this.#timers.add(timer);
        return { cancel: () => void this.#timers.delete(timer) };
      },
    };
    const absent = (): never => {
      throw new Error('the rehearsal has no read models');
    };
    this.bus = {
      send: (to, id, command, options = {}) =>
        this.#delivered(() => this.#decide(to.aggregate, id, command, options.key)),
      load: async (of, id) => this.#loaded(of.aggregate, id) as never,
      answered: async () => absent(),
      query: async () => absent(),
      explain: () => absent(),
      row: async () => absent(),
      reached: async () => undefined,
      follow: () => absent(),
    };
  }

  /** Decides at once, as a caller who does not wait for the network. */
  now<C extends Typed>(
    aggregate: { readonly aggregate: string; readonly command?: C },
    id: string,
    command: C,
  ): Answer {
    return this.#decide(aggregate.aggregate, id, command, undefined);
  }

  state<State>(of: { readonly aggregate: string; readonly state?: State }, id: string): State {
    return this.#loaded(of.aggregate, id).state as State;
  }

  events(id: string): readonly Typed[] {
    return this.#streams.get(id)?.events.map(({ event }) => event) ?? [];
  }

  /** When the last event of a stream came about. */
  lastMs(id: string): number {
    return this.#streams.get(id)?.events.at(-1)?.atMs ?? 0;
  }

  /** Every process forgets what it does and begins again from the events; its messages are still on their way. */
  crash(): void {
    this.#instances = new Map();
    for (const [id, { aggregate, events }] of this.#streams) {
      for (const { event, atMs } of events) this.#fold(aggregate, id, event, atMs);
    }
  }

  /** Goes on until nothing is to be done. @param between called before every step */
  async play(between: () => void = () => undefined): Promise<void> {
    for (let step = 0; step < stepsMax; step += 1) {
      between();
      this.#start();
      await new Promise(setImmediate);
      if (this.#waiting.length > 0) {
        const [message] = this.#waiting.splice(this.#script.pick(this.#waiting.length), 1);
        message?.();
        await new Promise(setImmediate);
      } else if (!this.#advance()) {
        if (this.#instances.size === 0) return;
        throw new Error(`stuck: ${[...this.#instances.keys()].join(', ')}`);
      }
    }
    throw new Error('it does not come to an end');
  }

  #advance(): boolean {
    const next = [...this.#timers].sort((a, b) => a.atMs - b.atMs)[0];
    if (next === undefined) return false;
    this.#timers.delete(next);
    this.nowMs = Math.max(this.nowMs, next.atMs);
    next.run();
    return true;
  }

  async #delivered<Result>(act: () => Result): Promise<Result> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const fault = this.#script.fault();
    if (fault === 'lost') throw new CardumeError('partition-unavailable', 'the message was lost');
    if (fault === 'twice') this.#waiting.push(() => void attempt(act));
    const result = act();
    if (fault === 'answer-lost') throw new CardumeError('unknown-outcome', 'the answer was lost');
    return result;
  }

  #aggregate(name: string): Aggregate {
    const found = this.#services.flatMap(({ aggregates }) => aggregates).find((one) => one.name === name);
    if (found === undefined) throw new Error(`no aggregate '${name}'`);
    return found;
  }

  #stream(name: string, id: string): Stream {
    let stream = this.#streams.get(id);
    if (stream === undefined) {
      const aggregate = this.#aggregate(name);
      stream = { aggregate, state: aggregate.initial(), events: [] };
      this.#streams.set(id, stream);
    }
    return stream;
  }

  #loaded(name: string, id: string): Loaded<unknown> {
    const { state, events } = this.#stream(name, id);
    return { state: structuredClone(state), version: events.length, token: '', unclean: 0 };
  }

  #decide(name: string, id: string, command: Typed, key?: { text: string; fingerprint: string }): Answer {
    const known = key === undefined ? undefined : this.#answers.get(key.text);
    if (known !== undefined) {
      if ('error' in known) throw known.error;
      if (known.fingerprint !== key?.fingerprint)
        throw new CardumeError('idempotency-key-reused', 'another fingerprint');
      return { ...known.answer, replayed: true };
    }
    const stream = this.#stream(name, id);
    const about = { id, version: stream.events.length, atMs: this.nowMs, unclean: 0 };
    const decision: Decision = stream.aggregate.decide(command, stream.state, about);
    if (decision.outcome === 'rejected') {
      const error = new CardumeError(decision.code, decision.detail);
      if (key !== undefined) this.#answers.set(key.text, { error });
      throw error;
    }
    for (const event of decision.events) {
      stream.events.push({ event, atMs: this.nowMs });
      stream.state = stream.aggregate.evolve(stream.state, event);
    }
    const answer = {
      id,
      version: stream.events.length,
      result: decision.result as Json,
      token: '',
      replayed: false,
    };
    if (key !== undefined) this.#answers.set(key.text, { fingerprint: key.fingerprint, answer });
    for (const event of decision.events) this.#fold(stream.aggregate, id, event, this.nowMs);
    return answer;
  }

  #processes(): readonly Process[] {
    return this.#services.flatMap(({ processes }) => processes);
  }

  #fold(aggregate: Aggregate, id: string, event: Typed, atMs: number): void {
    for (const process of this.#processes()) {
      if (process.of !== aggregate) continue;
      const name = `${process.name}/${id}`;
      let instance = this.#instances.get(name);
      if (instance === undefined) {
        if (process.startsOn !== undefined && !process.startsOn.includes(event.type)) continue;
        instance = { state: process.initial(id), effects: new Map() };
        this.#instances.set(name, instance);
      }
      instance.state = process.evolve(instance.state, structuredClone(event), atMs);
      if (process.ended(instance.state)) this.#instances.delete(name);
    }
  }

  #start(): void {
    for (const [name, instance] of this.#instances) {
      const [processName, id] = name.split('/') as [string, string];
      const process = this.#processes().find((one) => one.name === processName) as Process;
      const wanted = process.react(instance.state, id);
      for (const key of instance.effects.keys()) {
        if (!wanted.some((one) => one.key === key)) instance.effects.delete(key);
      }
      for (const effect of wanted) {
        const known = instance.effects.get(effect.key);
        if (known === 'under way' || (known !== undefined && this.nowMs < known.dueMs)) continue;
        instance.effects.set(effect.key, 'under way');
        this.#run(process, id, instance, effect);
      }
    }
  }

  #run(process: Process, id: string, instance: Instance, effect: Effect): void {
    const key = `${process.name}/${id}/${effect.key}`;
    const wanted = (): boolean =>
      this.#instances.get(`${process.name}/${id}`) === instance && instance.effects.has(effect.key);
    const send = (command: Typed): Promise<Answer> =>
      this.#delivered(() => this.#decide(process.of.name, id, command, undefined));
    const again = (): void => {
      if (!wanted()) return;
      instance.effects.set(effect.key, { dueMs: this.nowMs + pauseMs });
      this.clock.after(pauseMs, () => undefined);
    };
    const attempted = async (): Promise<void> => {
      try {
        if (effect.kind === 'timer') return void (await send(effect.command));
        const work = { bus: this.bus, ports: this.ports, key, again: true, nowMs: this.nowMs };
        const command = await effect.run(work);
        if (command === notYet) again();
        else if (command !== null) await send(command);
      } catch (error) {
        if (!isCardumeError(error) || !errors[error.code].retryable) throw error;
        again();
      }
    };
    if (effect.kind === 'work') return void attempted();
    this.clock.after(Math.max(0, effect.atMs - this.nowMs), () => {
      if (wanted()) void attempted();
    });
  }
}

/** A repeated message: no one waits for its answer. */
function attempt(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    if (!isCardumeError(error)) throw error;
  }
}
