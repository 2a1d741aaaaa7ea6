/**
 * One shard of a service, hosted here: its log, its decisions, its read models, its processes. Everything that a
 * command or a read touches on its way is in this file's three dozen lines of wiring.
 */
import { isCardumeError } from '../base/errors.ts';
import { parseId } from '../base/id.ts';
import type { Json, JsonObject } from '../base/json.ts';
import { openLog } from '../events/events.ts';
import type { Entry, Log } from '../events/log.ts';
import { encodeToken } from '../events/token.ts';
import type { WriterPool } from '../events/writer-pool.ts';
import type { Host } from '../host/host.ts';
import { openKeyRing } from '../privacy/key-ring.ts';
import type { Within } from '../sharding/deadline.ts';
import { type Plan, tablesRead } from '../sharding/plan.ts';
import type { Freshness } from '../sharding/query.ts';
import type { Row, Table, Value } from '../sharding/table.ts';
import { partitionKey } from '../topology/partition.ts';
import type { Bounds } from '../topology/topology.ts';
import { type Across, checkRead, onDurable, toldAcross, untilRisen, visibleAcross } from './across.ts';
import type { Typed } from './aggregate.ts';
import { archiveEnded, SEGMENT_ENTRIES } from './archiving.ts';
import type { Building } from './building.ts';
import { buildNames, buildsOf } from './builds.ts';
import type { Bus, StreamEvent } from './bus.ts';
import { type Decisions, openDecisions } from './decisions.ts';
import { logPlaceOf, openReading, openReplicasAt } from './engines.ts';
import type { Feeder } from './feeder.ts';
import { openFollowers } from './followers.ts';
import { forgetOldAnswers } from './forgetting.ts';
import { personalSubjects } from './personal-subjects.ts';
import { openProcessRunner } from './process-runner.ts';
import { tablesOf } from './projection.ts';
import { type FoldReport, readModelHealth } from './read-model-health.ts';
import type { Readers } from './readers.ts';
import { openReplicas, type ReplicaStatus } from './replicas.ts';
import { type Resubmit, resubmitting } from './resubmitting.ts';
import type { Service } from './service.ts';
import { type ShardMoving, shardMoving } from './shard-moving.ts';
import type { ShardRequest, ShardThreadInit } from './shard-thread.ts';
import { shownBy } from './shown.ts';
import { openSnapshots } from './snapshots.ts';
import type { ShardPlace } from './storage.ts';
import { upcastersOf } from './upcasting.ts';
import { reached } from './waiting.ts';

export interface ShardOptions {
  readonly host: Host;
  readonly service: Service;
  readonly place: ShardPlace;
  /** Partition keys whose home it is. */
  readonly partitions: readonly number[];
  /** Partition keys of which it follows a copy. */
  readonly copies?: readonly number[];
  /** The map of shards was made a moment ago: what has given partitions away is not opened. */
  readonly isMapNew?: boolean;
  /** Epochs below which partitions may not be opened any more: see events/epoch.ts. */
  readonly floors?: ReadonlyMap<number, number>;
  /** Partition keys whose home others have taken over: it follows copies of them from now on. */
  readonly yielded?: readonly number[];
  /** Streams that have ended move to archives; without it they keep their rows. */
  readonly isArchived?: boolean;
  readonly pool: WriterPool;
  /** See `LogOptions`. */
  readonly mayServe?: () => void;
  /** Of files: scans hold no main thread. */
  readonly readers: Readers;
  /** Of replicas in files; without it there are none. */
  readonly feeder?: Feeder;
  /** How far other regions follow; without it nothing waits for them. */
  readonly across?: Across;
  readonly bounds: Bounds;
  readonly masterKey: Uint8Array;
  readonly bus: Bus;
  readonly ports: Readonly<Record<string, unknown>>;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

export interface Shard extends Omit<Decisions, 'load' | 'loadHeld' | 'append'> {
  /** @param isLasting see `Bus.load` */
  load(name: string, id: string, partition?: number, isLasting?: boolean): ReturnType<Decisions['load']>;
  readonly log: Log;
  readonly moving: ShardMoving;
  /** Folds open processes; before commands are accepted. */
  recover(): Promise<void>;
  /** Starts their effects; when all shards have recovered, since processes send to each other. */
  begin(): void;
  /** Read models that are not up to the log yet. */
  building(): readonly Building[];
  /** @throws CardumeError `read-model-halted`, `read-model-building` */
  row(table: string, partition: number, key: Row, freshness?: Freshness | null): Promise<Row | null>;
  /**
   * @param partitions that it is asked for: all must still be at home here when it has read
   * @throws CardumeError `read-model-halted`, `read-model-building`, `overloaded`, `deadline-exceeded`, `query-refused`,
   *   `partition-unavailable`, `fenced`
   */
  scan(
    plan: Plan,
    partitions: readonly number[],
    within: Within,
    freshness?: Freshness | null,
  ): Promise<Value[][]>;
  /**
   * As `load`, `row` and `scan`, of whatever is held here, other regions' copies too: the caller knows how old those are.
   * An aggregate is null when its personal fields cannot be opened here.
   */
  loadHeld(name: string, id: string, partition: number): ReturnType<Decisions['loadHeld']>;
  rowHeld(table: string, partition: number, key: Row): Promise<Row | null>;
  scanHeld(plan: Plan, partitions: readonly number[], within: Within): Promise<Value[][]>;
  /** What was cut off another copy of a partition that is at home here; told when a second region has it. */
  readonly resubmit: Resubmit;
  /** See `shownBy`. */
  readonly shown: (entry: Entry) => JsonObject | null;
  /** Of its read models. */
  replicas(): ReplicaStatus[];
  /** See `Bus.reached`. */
  reached(token: string): Promise<void>;
  follow(
    aggregate: string,
    id: string,
    partition: number,
    afterVersion: number,
    signal: AbortSignal,
  ): AsyncIterable<StreamEvent>;
  processesOpen(): number;
  /** Partitions of it that another host has opened since. */
  fenced(): Promise<number>;
  close(): Promise<void>;
}

export async function openShard(options: ShardOptions): Promise<Shard> {
  const { host, service, place, bounds, across } = options;
  const init: ShardThreadInit = { module: service.module, place };
  const log = await openLog(host, {
    ...logPlaceOf(place),
    partitions: options.partitions,
    copies: options.copies ?? [],
    isMapNew: options.isMapNew ?? false,
    floors: options.floors ?? new Map(),
    yielded: options.yielded ?? [],
    pool: options.pool,
    ...(options.mayServe === undefined ? {} : { mayServe: options.mayServe }),
    bounds,
    tail: { module: new URL('./shard-thread.ts', import.meta.url), init },
    report: options.report,
  });
  const ask = <T>(request: ShardRequest): Promise<T> => log.askTail(request) as Promise<T>;
  const health = readModelHealth({
    clock: host.clock,
    catchUp: () => ask<FoldReport>({ kind: 'catch-up' }),
    build: () => ask<FoldReport>({ kind: 'build' }),
    report: options.report,
  });
  log.onTail((report) => health.told(report as FoldReport));
  health.told(await ask<FoldReport>({ kind: 'report' }));

  const replicas = openReplicas({
    clock: host.clock,
    log,
    service: service.name,
    replicas: await openReplicasAt(host, place, service, options.readers, options.feeder),
    report: options.report,
  });
  const reading = await openReading(host, place, service.projections, options.readers);
  const keys = openKeyRing(
    host,
    options.masterKey,
    {
      async ensure(key) {
        const wrapped = await ask<Uint8Array>({ kind: 'ensure-key', ...key });
        moving.keyMade({ ...key, wrapped });
        return wrapped;
      },
      find: (partition, subject) => ask<Uint8Array | null>({ kind: 'find-key', partition, subject }),
    },
    bounds.aggregatesCachedMax, // a subject's key is wanted when its aggregate is
  );
  const runner = openProcessRunner({
    host,
    log,
    upcasters: upcastersOf(service.aggregates),
    processes: service.processes,
    bus: options.bus,
    service: service.name,
    ports: options.ports,
    openMax: bounds.processesOpenMax,
    findCheckpoint: reading.findCheckpoint,
    saveCheckpoint: (checkpoint) => ask({ kind: 'checkpoint', checkpoint }),
    ...(across === undefined
      ? {}
      : { mayBegin: (partition, position) => untilRisen(across, partition, position) }),
    report: options.report,
  });
  const snapshots = openSnapshots(host.crypto, reading, (snapshot) => {
    ask({ kind: 'snapshot', snapshot }).catch((error) =>
      options.report('a snapshot was not saved', { error }),
    );
  });
  const told = across === undefined ? log : toldAcross(log, across);
  const { append, ...decisions } = openDecisions({
    host,
    log: told,
    aggregates: service.aggregates,
    keys,
    snapshots,
    aggregatesCachedMax: bounds.aggregatesCachedMax,
    snapshotEveryEvents: bounds.snapshotEveryEvents,
    admit: runner.admit,
    unclean: (partition) => across?.unclean(partition) ?? 0,
    ...(across === undefined ? {} : { mayDecide: across.checkBound }),
  });
  const visible = across === undefined ? log : visibleAcross(log, across);
  const followers = openFollowers(visible);
  const own = new Set(options.partitions);
  const personalSubject = personalSubjects(host.crypto, service);
  const moving = shardMoving({
    clock: host.clock,
    log,
    ask,
    own,
    keys,
    runner,
    reading,
    health,
    personalSubject,
  });
  const resubmit = resubmitting({
    crypto: host.crypto,
    service,
    log: told,
    decisions: { append, decode: decisions.decode },
    keys,
    personalSubject,
  });
  const stopForgetting = forgetOldAnswers(host, log, bounds.idempotencyDays, options.report);
  const stopArchiving =
    options.isArchived === true
      ? archiveEnded(host, log, service.aggregates, bounds.segmentEntries ?? SEGMENT_ENTRIES, options.report)
      : () => undefined;
  if (across === undefined) log.onCommit(runner.committed);
  else onDurable(log, across, runner.committed);
  visible.onCommit(followers.committed);

  /** Behind a read: another host may have taken over, and only it knows whether its read models follow its log. */
  const checkOurs = (partitions: readonly number[]): Promise<void> => checkRead(log, across, partitions);

  const tables = new Map(tablesOf(service.projections).map((table) => [table.name, table]));
  const homesAmong = (partitions: readonly number[]): number[] =>
    partitions.filter((partition) => log.head(partition) !== undefined);

  function tableNamed(name: string): Table {
    health.refuseHalted(name);
    const table = tables.get(name);
    if (table === undefined) throw new Error(`no table '${name}' in the service '${service.name}'`);
    return table;
  }

  const builds = buildNames(buildsOf(host.crypto, service.projections));

  /** Also of what was refused: the refusal rests on what may be lost. */
  async function lastingly<T>(partition: number, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      await across?.reached(partition, log.head(partition)?.position ?? 0);
    }
  }

  return {
    ...decisions,
    send(name, id, command, sendOptions, known) {
      const send = () => decisions.send(name, id, command, sendOptions, known);
      if (across === undefined || sendOptions?.lasting !== true) return send();
      return lastingly(known ?? partitionKey(parseId(id)), send);
    },
    load(name, id, known, isLasting) {
      const load = () => decisions.load(name, id, known);
      if (across === undefined || isLasting !== true) return load();
      return lastingly(known ?? partitionKey(parseId(id)), load);
    },
    resubmit: (asked) => lastingly(asked.partition, () => resubmit(asked)),
    shown: shownBy(service),
    log,
    moving: moving.moving,
    building: health.building,
    recover: runner.recover,
    begin: runner.begin,
    replicas: replicas.status,
    loadHeld: (name, id, partition) =>
      log.head(partition) === undefined
        ? decisions.loadHeld(name, id, partition)
        : decisions.load(name, id, partition),
    async rowHeld(name, partition, key) {
      health.refuseRefolding([partition]);
      const row = await reading.row(tableNamed(name), partition, key);
      await checkOurs(homesAmong([partition]));
      return row;
    },
    async scanHeld(plan, partitions, within) {
      for (const table of tablesRead(plan)) health.refuseHalted(table);
      health.refuseRefolding(partitions);
      const rows = await reading.scan(plan, within);
      await checkOurs(homesAmong(partitions));
      return rows;
    },
    async row(name, partition, key, freshness) {
      const table = tableNamed(name);
      health.refuseRefolding([partition]);
      const old =
        freshness == null
          ? null
          : await replicas.read(
              { freshness, partitions: [partition], builds: builds([name]) },
              (replica, floor) => replica.row(table, partition, key, floor),
            );
      const row = old === null ? await reading.row(table, partition, key) : old.row;
      await checkOurs([partition]);
      return row;
    },
    async scan(plan, partitions, within, freshness) {
      const read = tablesRead(plan);
      for (const table of read) health.refuseHalted(table);
      health.refuseRefolding(partitions);
      const old =
        freshness == null
          ? null
          : await replicas.read(
              { freshness, partitions, builds: builds(read), signal: within.signal },
              // A replica may still have what has moved away.
              (replica, floor) => replica.scan({ ...plan, partitions }, floor, within),
            );
      const rows = old ?? (await reading.scan(plan, within));
      await checkOurs(partitions);
      return rows;
    },
    reached: (token) => reached(host.clock, log, token),
    async *follow(aggregate, id, partition, afterVersion, signal) {
      for await (const entry of followers.follow(partition, id, afterVersion, signal)) {
        const event = (await decisions.decode(aggregate, id, entry.type, entry.data)) as Typed &
          Record<string, Json>;
        yield { version: entry.version as number, event, atMs: entry.atMs, token: encodeToken(entry) };
      }
    },
    processesOpen: runner.open,
    async fenced() {
      let fenced = 0;
      for (const partition of own) {
        try {
          await log.checkOpen(partition);
        } catch (error) {
          if (isCardumeError(error, 'partition-unavailable')) continue; // it is about to move away
          if (!isCardumeError(error, 'fenced')) throw error;
          fenced += 1;
        }
      }
      return fenced;
    },
    async close() {
      health.close();
      stopForgetting();
      stopArchiving();
      await runner.close();
      await replicas.close();
      await reading.close();
      await log.close();
    },
  };
}
