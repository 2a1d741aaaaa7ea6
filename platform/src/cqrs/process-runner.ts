/**
 * Runs the processes of one shard. The state of every open instance is a fold of the log, so a crash loses nothing:
 * at the start it is folded again from the last checkpoint, `react` names the same effects under the same keys, and
 * they are taken up again. What an effect did before the crash is found by its idempotency key.
 *
 * A process whose `evolve` or `react` throws halts alone: it is reported, its checkpoint stays where it was, and after
 * the next start (with mended code) it folds from there. Commands and other processes go on.
 */
import { deserialize, serialize } from 'node:v8';
import { CardumeError } from '../base/errors.ts';
import type { Entry, Log } from '../events/log.ts';
import type { Timer } from '../host/host.ts';
import type { Typed } from './aggregate.ts';
import { type EffectsOptions, openEffects } from './effects.ts';
import type { Process } from './process.ts';
import type { ProcessCheckpoint } from './storage.ts';
import { readEvent, type Upcasters } from './upcasting.ts';

export interface ProcessRunner {
  /** Folds what was open; call once, before commands are accepted. */
  recover(): Promise<void>;
  /** Starts the effects of what was recovered; when all shards have, since effects reach across them. */
  begin(): void;
  /** Entries as they are committed. */
  committed(entries: readonly Entry[]): void;
  /** @throws CardumeError `overloaded` when the aggregate's process has as many open instances as it may */
  admit(aggregate: string): void;
  /** Open instances of all processes. */
  open(): number;
  /**
   * The partition has moved away: its effects end.
   * @returns where its processes stand, for whoever takes them up; none when one has halted
   */
  release(partition: number): readonly ProcessCheckpoint[];
  /** Where its processes stood when that was last saved; none when some were not. */
  saved(partition: number): Promise<readonly ProcessCheckpoint[]>;
  /** The partition has come, with entries up to the position: its processes are taken up. */
  adopt(partition: number, position: number): Promise<void>;
  /** Stops effects and timers and saves checkpoints. */
  close(): Promise<void>;
}

export interface ProcessRunnerOptions extends EffectsOptions {
  readonly log: Log;
  readonly upcasters: Upcasters;
  // biome-ignore lint/suspicious/noExplicitAny: definitions of different types stand in one list
  readonly processes: readonly Process<any, any, any>[];
  readonly openMax: number;
  /** Resolves when effects may begin that rest on the partition up to the position; undefined: they may now. */
  readonly mayBegin?: (partition: number, position: number) => Promise<void> | undefined;
  readonly findCheckpoint: (process: string, partition: number) => Promise<ProcessCheckpoint | null>;
  readonly saveCheckpoint: (checkpoint: ProcessCheckpoint) => Promise<void>;
}

/** A start folds at most about this many entries again, per partition. */
const CHECKPOINT_EVERY_ENTRIES = 5_000;
const PAGE_ENTRIES = 2_000;

interface Instance {
  readonly id: string;
  readonly partition: number;
  readonly process: Process;
  /** It was open before this start: whatever it wants may have been under way. */
  readonly recovered: boolean;
  state: unknown;
  /** Effects under way or done, by key. */
  readonly effects: Map<string, Timer>;
}

/** What was saved of a process, by code that folded as today's does. */
interface Found {
  readonly process: Process;
  readonly saved: ProcessCheckpoint | null;
}

interface Checkpoint {
  epoch: number;
  position: number;
  /** Entries folded since it was saved. */
  behind: number;
}

export function openProcessRunner(options: ProcessRunnerOptions): ProcessRunner {
  const { log, processes } = options;
  const instances = new Map<string, Instance>();
  const processesOf = new Map<string, Process[]>();
  for (const one of processes)
    processesOf.set(one.of.idType, [...(processesOf.get(one.of.idType) ?? []), one]);
  const checkpoints = new Map<number, Checkpoint>();
  const halted = new Set<Process>();
  const effects = openEffects(options);
  /** Partitions whose open instances are being folded, whose effects begin later; each time with a mark of its own. */
  const recovering = new Map<number, object>(log.heads().map(({ partition }) => [partition, {}]));

  function nameOf(process: Process, id: string): string {
    return `${process.name}/${id}`;
  }

  /** Folds one event into one process. @returns the instance when it is open afterwards */
  function foldInto(process: Process, entry: Entry, event: Typed): void {
    const name = nameOf(process, entry.stream);
    let instance = instances.get(name);
    if (instance === undefined) {
      if (process.startsOn !== undefined && !process.startsOn.includes(event.type)) return;
      instance = {
        id: entry.stream,
        partition: entry.partition,
        process,
        recovered: recovering.has(entry.partition),
        state: process.initial(entry.stream),
        effects: new Map(),
      };
      instances.set(name, instance);
    }
    instance.state = process.evolve(instance.state, event, entry.atMs);
    if (process.ended(instance.state)) {
      instances.delete(name);
      for (const effect of instance.effects.values()) effect.cancel();
    } else if (!recovering.has(entry.partition)) {
      start(instance);
    }
  }

  function fold(entry: Entry): void {
    const checkpoint = checkpoints.get(entry.partition) ?? { epoch: 0, position: 0, behind: 0 };
    if (entry.position <= checkpoint.position) return;
    checkpoints.set(entry.partition, checkpoint);
    checkpoint.epoch = entry.epoch;
    checkpoint.position = entry.position;
    checkpoint.behind += 1;
    if (entry.version === null) return;
    for (const process of processesOf.get(entry.stream.slice(0, 3)) ?? []) {
      // An event that opens no instance is not even decoded.
      const concerned =
        process.startsOn === undefined ||
        process.startsOn.includes(entry.type) ||
        instances.has(nameOf(process, entry.stream));
      if (!concerned || halted.has(process)) continue;
      guarded(process, () => foldInto(process, entry, eventOf(entry)));
    }
  }

  const eventOf = ({ decided, stream, type, data }: Entry): Typed =>
    (decided as Typed | undefined) ?? readEvent(options.upcasters, stream.slice(0, 3), type, data);

  function guarded(process: Process, work: () => void): void {
    try {
      work();
    } catch (error) {
      halted.add(process);
      options.report('a process has halted', { process: process.name, error });
      for (const [name, instance] of instances) {
        if (instance.process !== process) continue;
        instances.delete(name);
        for (const effect of instance.effects.values()) effect.cancel();
      }
    }
  }

  /** Starts what the state wants and is not under way; cancels what it no longer wants. */
  function start(instance: Instance): void {
    const wanted = instance.process.react(instance.state, instance.id);
    for (const [key, effect] of instance.effects) {
      if (!wanted.some((one) => one.key === key)) {
        effect.cancel();
        instance.effects.delete(key);
      }
    }
    for (const effect of wanted) {
      if (instance.effects.has(effect.key)) continue;
      instance.effects.set(effect.key, effects.begin(instance, effect));
    }
  }

  function savedStates(partition: number, process: Process): Uint8Array {
    const states = new Map<string, unknown>();
    for (const instance of instances.values()) {
      if (instance.partition === partition && instance.process === process)
        states.set(instance.id, instance.state);
    }
    return serialize(states);
  }

  /** Where the partition's processes stand. */
  function statesOf(partition: number): ProcessCheckpoint[] {
    const { epoch, position } = checkpoints.get(partition) as Checkpoint;
    // A halted process needs the events from its checkpoint on, and all processes of a partition share one.
    if (halted.size > 0) return [];
    return processes.map((process) => {
      const open = savedStates(partition, process);
      return { process: process.name, partition, revision: revisionOf(process), epoch, position, open };
    });
  }

  function save(partition: number): Promise<void>[] {
    (checkpoints.get(partition) as Checkpoint).behind = 0;
    return statesOf(partition).map(options.saveCheckpoint);
  }

  function beginWhenItMay(partition: number): void {
    const position = checkpoints.get(partition)?.position ?? 0;
    const mark = recovering.get(partition);
    const wait = options.mayBegin?.(partition, position);
    if (wait === undefined) beginEffects(partition);
    else
      void wait.then(() => {
        if (mark !== undefined && recovering.get(partition) === mark) beginEffects(partition);
      });
  }

  function beginEffects(partition: number): void {
    recovering.delete(partition);
    for (const instance of [...instances.values()]) {
      if (instance.partition === partition && !halted.has(instance.process))
        guarded(instance.process, () => start(instance));
    }
  }

  function forget(partition: number): void {
    recovering.delete(partition);
    checkpoints.delete(partition);
    for (const [name, instance] of instances) {
      if (instance.partition !== partition) continue;
      instances.delete(name);
      for (const effect of instance.effects.values()) effect.cancel();
    }
  }

  /** One that names an entry that the log does not have is of another history, or of entries that were cut off. */
  async function standOnLog(partition: number, found: readonly Found[]): Promise<boolean> {
    const position = found[0]?.saved?.position ?? 0;
    if (position === 0) return true;
    const [entry] = await log.readPartition(partition, position - 1, 1);
    return found.every(({ saved }) => saved?.epoch === entry?.epoch);
  }

  async function recoverPartition(partition: number, position: number): Promise<void> {
    const found = await Promise.all(
      processes.map(async (process): Promise<Found> => {
        const saved = await options.findCheckpoint(process.name, partition);
        return { process, saved: saved?.revision === revisionOf(process) ? saved : null };
      }),
    );
    const oldest = Math.min(...found.map(({ saved }) => saved?.position ?? 0));
    const aligned =
      found.every(({ saved }) => saved !== null && saved.position === oldest && saved.position <= position) &&
      (await standOnLog(partition, found));
    if (aligned) {
      for (const { process, saved } of found) {
        const states = deserialize((saved as ProcessCheckpoint).open) as Map<string, unknown>;
        for (const [id, state] of states) {
          const instance = { id, partition, process, recovered: true, state, effects: new Map() };
          instances.set(nameOf(process, id), instance);
        }
      }
    }
    // A process without a checkpoint of its revision is new: it sees the whole log, and so do its neighbours again.
    const from = aligned ? oldest : 0;
    const epoch = aligned ? (found[0]?.saved?.epoch ?? 0) : 0;
    checkpoints.set(partition, { epoch, position: from, behind: 0 });
    for (let after = from; after < position; ) {
      const page = await log.readPartition(partition, after, PAGE_ENTRIES);
      for (const entry of page) fold(entry);
      after = page.at(-1)?.position ?? position;
    }
  }

  return {
    async recover() {
      if (processes.length > 0) {
        for (const head of log.heads()) await recoverPartition(head.partition, head.position);
      }
    },
    begin() {
      for (const partition of [...recovering.keys()]) beginWhenItMay(partition);
    },
    release(partition) {
      const states = checkpoints.has(partition) ? statesOf(partition) : [];
      forget(partition);
      return states;
    },
    async saved(partition) {
      const found = await Promise.all(processes.map(({ name }) => options.findCheckpoint(name, partition)));
      return found.every((one) => one !== null) ? found : [];
    },
    async adopt(partition, position) {
      forget(partition); // what is left of a release that was cut off
      if (processes.length === 0) return;
      recovering.set(partition, {});
      await recoverPartition(partition, position);
      beginWhenItMay(partition);
    },
    committed(entries) {
      if (processes.length === 0) return;
      for (const entry of entries) {
        fold(entry);
      }
      for (const [partition, checkpoint] of checkpoints) {
        if (checkpoint.behind < CHECKPOINT_EVERY_ENTRIES) continue;
        for (const saving of save(partition)) {
          saving.catch((error) =>
            options.report('a checkpoint of a process was not saved', { partition, error }),
          );
        }
      }
    },
    admit(aggregate) {
      if (instances.size < options.openMax) return;
      if (processes.some((process) => process.of.name === aggregate)) {
        throw new CardumeError('overloaded', `${options.openMax} processes are under way`);
      }
    },
    open: () => instances.size,
    async close() {
      effects.close();
      for (const instance of instances.values())
        for (const effect of instance.effects.values()) effect.cancel();
      // Without a checkpoint the next start folds more of the log.
      for (const saved of await Promise.allSettled([...checkpoints.keys()].flatMap(save))) {
        if (saved.status === 'rejected')
          options.report('a checkpoint of a process was not saved', { error: saved.reason });
      }
    },
  };
}

function revisionOf(process: Process): number {
  return process.stateRevision ?? 1;
}
