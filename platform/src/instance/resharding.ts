/**
 * Online resharding of one region: whole partitions move between its shards while they are used.
 *
 *   copy      the log, page by page, the keys, and with the entries what read models make of them; throttled
 *   verify    read models of home and copy, folded up to the same position, have the same digest
 *   hold      callers wait; the home is released, which makes everything told durable and fences whoever had it open
 *   catch up  the last entries and keys; position and checksum of both logs are the same
 *   switch    the map is written: from here on the copy is the home, whatever breaks
 *   adopt     the new home opens in an epoch above; callers go on
 *   follow    what was left behind takes the new home's entries, so that the partition can go back as quickly
 *
 * The map says after each step what holds, so a process that is ended anywhere goes on from there when it starts again.
 */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import { differences } from '../cqrs/digest.ts';
import type { Shard } from '../cqrs/shard.ts';
import type { KeyWatch } from '../cqrs/shard-moving.ts';
import { sameChecksum } from '../events/checksum.ts';
import type { Head } from '../events/log.ts';
import type { Host } from '../host/host.ts';
import {
  homesIn,
  type PartitionMove,
  planReshard,
  type Reshard,
  type ReshardWish,
  type ShardMap,
  type ShardOfMap,
  withMove,
  withoutReshard,
  withPhase,
} from '../sharding/shard-map.ts';
import type { Hosted } from './hosted.ts';

export type ReshardingRequest =
  | { readonly ask: 'status' }
  | { readonly ask: 'begin'; readonly wish: ReshardWish }
  | { readonly ask: 'rollback' }
  | { readonly ask: 'finish' };

export interface Resharding {
  handle(request: ReshardingRequest): Promise<ReshardingStatus>;
  /** Partitions of a shard of the topology's; null when the map is another one by now. */
  staticHomes(service: string, name: string): readonly number[] | null;
  /** Takes up what was under way when the last process ended. */
  begin(): void;
  /** Ends at the next step that stands by itself. */
  close(): Promise<void>;
}

/** JSON. */
export interface ReshardingStatus {
  readonly version: number;
  readonly shards: readonly ShardStatus[];
  readonly reshard: ReshardStatus | null;
}

export interface ShardStatus extends ShardOfMap {
  readonly partitions: number;
  /** Entries in its homes. */
  readonly entries: number;
  /** Its busiest partitions: entries that came in the last minute. */
  readonly busiest: readonly { readonly partition: number; readonly entriesAMinute: number }[];
}

export interface ReshardStatus extends Omit<Reshard, 'moves'> {
  readonly moves: readonly MoveStatus[];
  /** Why it stands still; null: it does not. */
  readonly trouble: string | null;
}

export interface MoveStatus extends PartitionMove {
  /** Of this process's doing: how long callers were held, and what was found equal. */
  readonly heldMs: number | null;
  readonly verified: Verified | null;
}

export interface Verified {
  readonly entries: number;
  /** Of read models, over all tables. */
  readonly rows: number;
}

/** A partition on its way from one shard to another. */
interface Transfer {
  readonly service: string;
  readonly partition: number;
  readonly from: Shard;
  readonly fromName: string;
  readonly to: Shard;
  readonly toName: string;
  /** There is a copy. */
  begun(): void;
  /** The map behind the switch. */
  done(now: ShardMap): ShardMap;
}

/** What the map says is not known. */
class Unsettled extends Error {}

/** Of a copy that no switch is meant for. */
const UNSAVED = { begun: () => undefined, done: (now: ShardMap) => now };

export interface ReshardingGround {
  readonly host: Host;
  readonly map: ShardMap;
  readonly hosted: Hosted;
  /** @throws CardumeError `fenced` when another process has the region by now */
  readonly check: () => void;
  /** @throws CardumeError `fenced` */
  readonly save: (map: ShardMap) => void;
  /** The map that stands, after a write that failed. */
  readonly settle: () => ShardMap;
  /** Opens a shard and adds it to the hosted ones. */
  readonly open: (shard: ShardOfMap, map: ShardMap) => Promise<void>;
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** Short, since a writer thread serves several shards. */
const PAGE_ENTRIES = 64;
const PAGE_KEYS = 500;
const DROPPED_A_STEP = 2_000;
/** Between pages, times what the page took: the platform's own work comes first. */
const REST = 2;
const REST_MS_MAX = 200;
/** Between partitions. */
const REST_BETWEEN_MS_MAX = 1_000;
const VERIFY_TRIES_MAX = 20;
const FOLLOW_MS = 200;
const TRY_AGAIN_MS = 1_000;
const RATE_EVERY_MS = 10_000;
const RATE_SAMPLES = 6;
const BUSIEST = 3;

export function openResharding(ground: ReshardingGround): Resharding {
  const { host, hosted, report } = ground;
  const { clock } = host;
  let { map } = ground;
  let closed = false;
  let working: Promise<void> | null = null;
  let trouble: string | null = null;
  /** A write of the map has failed, and may stand. */
  let isUnsettled = false;
  const told = new Map<number, { heldMs: number | null; verified: Verified | null }>();
  /** Where copies stand that were left behind. */
  const followed = new Map<number, number>();
  /** Entries of each partition, every ten seconds. */
  const samples: Map<string, number>[] = [];

  function save(next: ShardMap): void {
    if (isUnsettled) throw new CardumeError('storage-failed', 'what the map of shards says is not known now');
    ground.save(next);
    map = next;
  }

  const shardOf = (service: string, name: string): Shard => {
    const shard = hosted.named(service, name);
    if (shard === undefined) throw new CardumeError('partition-unavailable', `'${name}' is not hosted here`);
    return shard;
  };

  function noted(partition: number): { heldMs: number | null; verified: Verified | null } {
    const known = told.get(partition) ?? { heldMs: null, verified: null };
    told.set(partition, known);
    return known;
  }

  async function rest(sinceMs: number, share = REST, msMax = REST_MS_MAX): Promise<void> {
    await clock.sleep(Math.min(msMax, (clock.monotonicMs() - sinceMs) * share));
  }

  const headOf = (shard: Shard, partition: number): Head | undefined =>
    shard.log.heads().find((head) => head.partition === partition);

  // ---- one partition

  /**
   * Brings the copy up to the position, or close behind a home that goes on. As long as the distance does not shrink it
   * rests less and less.
   * @returns where the copy stands then
   */
  async function copyUpTo(
    { partition, from, to }: Transfer,
    position: number,
    upTo: number,
  ): Promise<number> {
    let at = position;
    let share = REST;
    let distance = Number.POSITIVE_INFINITY;
    while (at < upTo && !closed) {
      const sinceMs = clock.monotonicMs();
      const page = await from.log.readPartition(partition, at, Math.min(PAGE_ENTRIES, upTo - at));
      await to.moving.copy(page);
      at = page.at(-1)?.position ?? at;
      if (page.length < PAGE_ENTRIES) break;
      const left = (headOf(from, partition)?.position ?? at) - at;
      if (left >= distance) share /= 2;
      distance = left;
      await rest(sinceMs, share);
    }
    return at;
  }

  async function copyKeys({ partition, from, to }: Transfer): Promise<void> {
    for (let after = ''; !closed; ) {
      const sinceMs = clock.monotonicMs();
      const page = await from.moving.listKeys(partition, after, PAGE_KEYS);
      await to.moving.putKeys(partition, page);
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_KEYS) return;
      after = last.subject;
      await rest(sinceMs);
    }
  }

  /** Read models of home and copy, at the same position. @returns where the copy stands then */
  async function verify(transfer: Transfer, position: number): Promise<number> {
    const { partition, from, to } = transfer;
    let at = position;
    for (let tries = 1; !closed; tries += 1) {
      const home = await from.moving.digest(partition);
      at = await copyUpTo(transfer, at, home.position);
      if (closed) break;
      const copy = await to.moving.digest(partition);
      if (copy.position === home.position) {
        const different = differences(home, copy);
        if (different.length > 0)
          throw new CardumeError(
            'storage-failed',
            `partition ${partition}: copies differ in ${different.join(', ')}`,
          );
        const rows = Object.values(copy.tables).reduce((sum, table) => sum + table.rows, 0);
        noted(partition).verified = { entries: home.position, rows };
        break;
      }
      // The copy was ahead of what the home had folded by then.
      if (tries === VERIFY_TRIES_MAX)
        throw new CardumeError('storage-failed', `partition ${partition}: read models do not follow the log`);
      await clock.sleep(REST_MS_MAX);
    }
    return at;
  }

  /** @returns whether it is done; false: the instance closes */
  async function carryOver(transfer: Transfer): Promise<boolean> {
    const { partition, from, to } = transfer;
    const keys = from.moving.watchKeys(partition);
    try {
      hosted.setCopy(transfer.toName, partition, true);
      let { position } = await to.moving.follow(partition);
      transfer.begun();
      await copyKeys(transfer);
      position = await copyUpTo(transfer, position, Number.POSITIVE_INFINITY);
      await to.moving.putKeys(partition, keys.take());
      position = await verify(transfer, position);
      await to.moving.putKeys(partition, keys.take());
      // What came in meanwhile: while callers are held, a page is left at most.
      position = await copyUpTo(transfer, position, Number.POSITIVE_INFINITY);
      if (closed) return false;
      await switchOver(transfer, position, keys);
      return true;
    } finally {
      keys.end();
    }
  }

  async function switchOver(transfer: Transfer, position: number, keys: KeyWatch): Promise<void> {
    const { service, partition, fromName, to, toName } = transfer;
    const letGo = hosted.hold(service, partition);
    const sinceMs = clock.monotonicMs();
    try {
      const epoch = await handOver(transfer, position, keys);
      await insist(`partition ${partition} is not adopted`, () => to.moving.adopt(partition, epoch));
      hosted.route(service, partition, toName);
      hosted.setCopy(toName, partition, false);
      hosted.setCopy(fromName, partition, true);
    } finally {
      noted(partition).heldMs = Math.round(clock.monotonicMs() - sinceMs);
      letGo();
    }
  }

  /** @returns the epoch in which the copy stands, when the map names it; after a throw the old one is home again */
  async function handOver(transfer: Transfer, position: number, keys: KeyWatch): Promise<number> {
    const { partition, from, to } = transfer;
    const own = headOf(from, partition)?.epoch ?? 0;
    try {
      const { head, checkpoints } = await from.moving.release(partition);
      await copyRest(transfer, position, head.position);
      await to.moving.putKeys(partition, keys.take());
      await to.moving.putCheckpoints(partition, checkpoints);
      // Whoever opens it from now on, does so above the epoch that was released.
      const copy = await to.moving.follow(partition, head.epoch);
      if (copy.position !== head.position || !sameChecksum(copy.checksum, head.checksum))
        throw new CardumeError('storage-failed', `the copy of partition ${partition} is not its home's log`);
      await saveForCertain(transfer.done(map));
      return copy.epoch;
    } catch (error) {
      // Who does not know what the map says, gives the partition to nobody: the next start will know.
      if (!(error instanceof Unsettled))
        await insist(`partition ${partition} is not home again`, () => from.moving.adopt(partition, own + 1));
      throw error;
    }
  }

  async function copyRest({ partition, from, to }: Transfer, position: number, upTo: number): Promise<void> {
    for (let at = position; at < upTo; ) {
      const page = await from.log.readPartition(partition, at, PAGE_ENTRIES);
      await to.moving.copy(page);
      at = page.at(-1)?.position ?? upTo;
    }
  }

  /**
   * A write that failed may stand all the same: what holds is found out, however long it takes.
   * @throws the failure when the map does not stand
   */
  async function saveForCertain(next: ShardMap): Promise<void> {
    try {
      save(next);
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      isUnsettled = true;
      try {
        await insist('the map of shards cannot be read', async () => {
          map = ground.settle();
        });
      } catch (unsettled) {
        throw new Unsettled('what the map of shards says is not known', { cause: unsettled });
      }
      isUnsettled = false;
      if (JSON.stringify(map) !== JSON.stringify(next)) throw error;
    }
  }

  /** What must not be left half done is tried until it is. */
  async function insist(trouble: string, work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await work();
        return;
      } catch (error) {
        const isOver = ['draining', 'fenced', 'conflict'].some((code) =>
          isCardumeError(error, code as 'fenced'),
        );
        if (closed || isOver) throw error;
        report(trouble, { error });
        await clock.sleep(TRY_AGAIN_MS);
      }
    }
  }

  // ---- the whole

  async function openMissing(): Promise<void> {
    for (const shard of map.shards) {
      if (hosted.named(shard.service, shard.name) !== undefined) continue;
      const sinceMs = clock.monotonicMs();
      await ground.open(shard, map);
      await rest(sinceMs, REST, REST_BETWEEN_MS_MAX);
    }
  }

  /** A switch that was cut off behind the map: the home that the map names is opened. */
  async function bringHome(service: string, { partition, from, to, state }: PartitionMove): Promise<void> {
    const name = state === 'moved' ? to : from;
    const home = shardOf(service, name);
    if (headOf(home, partition) !== undefined || closed) return;
    const letGo = hosted.hold(service, partition);
    try {
      ground.check();
      const copy = await home.moving.follow(partition).catch((error: unknown) => {
        if (isCardumeError(error, 'conflict')) return null; // adopted, and the answer was lost
        throw error;
      });
      await home.moving.adopt(partition, copy?.epoch ?? 0);
      hosted.route(service, partition, name);
      hosted.setCopy(name, partition, false);
      hosted.setCopy(name === to ? from : to, partition, state !== 'waiting');
    } finally {
      letGo();
    }
  }

  async function work(): Promise<void> {
    while (map.reshard !== null && !closed) {
      try {
        ground.check();
        await openMissing();
        for (const move of map.reshard.moves) await bringHome(map.reshard.service, move);
        await phases[map.reshard.phase](map.reshard);
        trouble = null;
      } catch (error) {
        if (closed) return;
        trouble = (error as Error).message;
        report('a reshard stands still, and will be tried again', { error });
        // Another process has the region: it goes on with the reshard.
        if (isCardumeError(error, 'fenced')) return;
        await clock.sleep(TRY_AGAIN_MS);
      }
    }
  }

  const phases: Record<Reshard['phase'], (reshard: Reshard) => Promise<void>> = {
    async moving({ service, moves }) {
      for (const { partition } of moves) {
        const move = currentMove(partition);
        if (map.reshard?.phase !== 'moving' || closed) return;
        if (move.state === 'moved') continue;
        const sinceMs = clock.monotonicMs();
        if (!(await carryOver(there(service, move)))) return;
        await followOnce();
        await rest(sinceMs, REST, REST_BETWEEN_MS_MAX);
      }
      if (map.reshard?.phase === 'moving') save(withPhase(map, 'following'));
    },
    async following() {
      await followOnce();
      await clock.sleep(FOLLOW_MS);
    },
    async returning({ service, moves }) {
      for (const { partition } of moves) {
        const move = currentMove(partition);
        if (closed || (move.state === 'moved' && !(await carryOver(back(service, move))))) return;
        if (currentMove(partition).state === 'waiting') continue;
        await dropAll(service, move.to, partition);
        save(withMove(map, partition, 'waiting'));
      }
      save(withPhase(map, 'dropping'));
    },
    async dropping({ service, moves }) {
      for (const { partition, from, state } of moves) {
        if (closed) return;
        if (state === 'moved') await dropAll(service, from, partition);
      }
      const left = withoutReshard(map);
      const gone = map.shards.filter(({ name }) => !left.shards.some((one) => one.name === name));
      save(left);
      for (const { service: of, name } of gone) {
        const open = hosted.named(of, name);
        hosted.remove(of, name);
        await open?.close();
      }
    },
  };

  const currentMove = (partition: number): PartitionMove =>
    (map.reshard as Reshard).moves.find((one) => one.partition === partition) as PartitionMove;

  function there(service: string, { partition, from, to, state }: PartitionMove): Transfer {
    return {
      ...between(service, partition, from, to),
      begun() {
        if (state === 'waiting') save(withMove(map, partition, 'copying'));
      },
      done: (now) => withMove(now, partition, 'moved'),
    };
  }

  /** By the same way: what was left behind has followed. */
  function back(service: string, { partition, from, to }: PartitionMove): Transfer {
    return {
      ...between(service, partition, to, from),
      begun: () => undefined,
      done: (now) => withMove(now, partition, 'copying'),
    };
  }

  function between(service: string, partition: number, fromName: string, toName: string) {
    return {
      service,
      partition,
      fromName,
      toName,
      from: shardOf(service, fromName),
      to: shardOf(service, toName),
    };
  }

  /** What was left behind takes what its new home has by now. */
  async function followOnce(): Promise<void> {
    const { service, moves } = map.reshard as Reshard;
    for (const { partition, from, to, state } of moves) {
      if (state !== 'moved' || closed) continue;
      const transfer = between(service, partition, to, from);
      const home = headOf(transfer.from, partition);
      const known = followed.get(partition) ?? (await transfer.to.moving.follow(partition)).position;
      if (home === undefined || home.position === known) continue;
      followed.set(partition, await copyUpTo({ ...transfer, ...UNSAVED }, known, home.position));
    }
  }

  async function dropAll(service: string, name: string, partition: number): Promise<void> {
    const shard = shardOf(service, name);
    for (;;) {
      const sinceMs = clock.monotonicMs();
      ground.check();
      if ((await shard.moving.drop(partition, DROPPED_A_STEP)) < DROPPED_A_STEP) break;
      await rest(sinceMs);
    }
    hosted.setCopy(name, partition, false);
    followed.delete(partition);
  }

  function begin(): void {
    if (working !== null || map.reshard === null || closed) return;
    working = work().finally(() => {
      working = null;
    });
  }

  // ---- what operators see

  function entriesNow(): Map<string, number> {
    const entries = new Map<string, number>();
    for (const { service, name } of map.shards) {
      for (const head of hosted.named(service, name)?.log.heads() ?? [])
        entries.set(`${service}/${head.partition}`, head.position);
    }
    return entries;
  }

  let sampling = clock.after(RATE_EVERY_MS, sample);

  function sample(): void {
    samples.push(entriesNow());
    if (samples.length > RATE_SAMPLES) samples.shift();
    sampling = clock.after(RATE_EVERY_MS, sample);
  }

  function status(): ReshardingStatus {
    const now = entriesNow();
    const before = samples[0] ?? now;
    const minutes = Math.max(1, samples.length) * (RATE_EVERY_MS / 60_000);
    const shards = map.shards.map((shard): ShardStatus => {
      const partitions = homesIn(map, shard.service, shard.name);
      const counts = partitions.map((partition) => {
        const name = `${shard.service}/${partition}`;
        const entries = now.get(name) ?? 0;
        const rate = (entries - (before.get(name) ?? entries)) / minutes;
        return { partition, entries, entriesAMinute: Math.round(rate) };
      });
      const busiest = counts
        .filter(({ entriesAMinute }) => entriesAMinute > 0)
        .sort((a, b) => b.entriesAMinute - a.entriesAMinute)
        .slice(0, BUSIEST)
        .map(({ partition, entriesAMinute }) => ({ partition, entriesAMinute }));
      const entries = counts.reduce((sum, one) => sum + one.entries, 0);
      return { ...shard, partitions: partitions.length, entries, busiest };
    });
    const { version, reshard } = map;
    if (reshard === null) return { version, shards, reshard: null };
    const moves = reshard.moves.map((move): MoveStatus => ({ ...move, ...noted(move.partition) }));
    return { version, shards, reshard: { ...reshard, moves, trouble } };
  }

  function changePhase(allowed: readonly Reshard['phase'][], phase: Reshard['phase'], what: string): void {
    const now = map.reshard?.phase;
    if (now === undefined) throw new CardumeError('conflict', `there is no reshard to ${what}`);
    if (!allowed.includes(now)) throw new CardumeError('conflict', `it is ${now}, and cannot ${what} now`);
    save(withPhase(map, phase));
  }

  return {
    begin,
    staticHomes: (service, name) => (map.version === 0 ? homesIn(map, service, name) : null),
    async handle(request) {
      switch (request.ask) {
        case 'status':
          break;
        case 'begin':
          save(planReshard(map, request.wish, clock.nowMs()));
          told.clear();
          followed.clear();
          break;
        case 'rollback':
          changePhase(['moving', 'following'], 'returning', 'go back');
          break;
        case 'finish':
          changePhase(['following'], 'dropping', 'finish');
          break;
      }
      begin();
      return status();
    },
    async close() {
      closed = true;
      sampling.cancel();
      await working;
    },
  };
}
