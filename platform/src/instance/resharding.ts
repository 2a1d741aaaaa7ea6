/**
 * Online resharding of one region: whole partitions move between its shards while they are used, one after another
 * (transfer.ts). What was left behind follows its new home until the reshard is finished, so that it can go back as
 * quickly.
 *
 * The map says after each step what holds, so a process that is ended anywhere goes on from there when it starts again.
 */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Shard } from '../cqrs/shard.ts';
import type { Head } from '../events/log.ts';
import type { Host } from '../host/host.ts';
import { pagesOf } from '../regions/quarantine/shelf.ts';
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
import type { EngineName } from '../topology/topology.ts';
import type { Hosted } from './hosted.ts';
import { longWork, REST, type Report, TRY_AGAIN_MS } from './long-work.ts';
import { type ShardStatus, watchShards } from './shard-status.ts';
import { type MapFile, standingMap } from './standing-map.ts';
import {
  headOf,
  openTransfers,
  type RegionHomes,
  type Transfer,
  type Transferred,
  type Way,
} from './transfer.ts';

export type ReshardingRequest =
  | { readonly ask: 'status' }
  | { readonly ask: 'begin'; readonly wish: ReshardWish }
  | { readonly ask: 'rollback' }
  | { readonly ask: 'finish' };

export interface Resharding {
  handle(request: ReshardingRequest): Promise<ReshardingStatus>;
  /** Partitions of a shard of the topology's; null when the map is another one by now. */
  staticHomes(service: string, name: string): readonly number[] | null;
  /** It takes part in a reshard that has not ended. */
  concerns(service: string, partition: number): boolean;
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

export interface ReshardStatus extends Omit<Reshard, 'moves'> {
  readonly moves: readonly MoveStatus[];
  /** Why it stands still; null: it does not. */
  readonly trouble: string | null;
}

export interface MoveStatus extends PartitionMove, Readonly<Transferred> {}

export interface ReshardingGround extends MapFile {
  readonly host: Host;
  readonly map: ShardMap;
  /** That shards may have. */
  readonly engines: readonly EngineName[];
  readonly hosted: Hosted;
  readonly homes: RegionHomes;
  /** @throws CardumeError `fenced` when another process has the region by now */
  readonly check: () => void;
  /** Opens a shard and adds it to the hosted ones. */
  readonly open: (shard: ShardOfMap, map: ShardMap) => Promise<void>;
  readonly report: Report;
}

const DROPPED_A_STEP = 2_000;
/** Between partitions. */
const REST_BETWEEN_MS_MAX = 1_000;
const FOLLOW_MS = 200;
const AWAY_NAMED_MAX = 5;

export function openResharding(ground: ReshardingGround): Resharding {
  const { host, hosted, homes, report } = ground;
  const { clock } = host;
  const long = longWork(clock, report);
  const { rest } = long;
  const map = standingMap(ground.map, ground, long);
  const transfers = openTransfers({ clock, map, hosted, homes, work: long });
  const watch = watchShards(clock, hosted, () => map.now);
  let working: Promise<void> | null = null;
  let trouble: string | null = null;
  /** Partitions at home in another region, of which nothing is left behind. */
  const strays = new Set<number>();
  /** Where copies stand that were left behind. */
  const followed = new Map<number, number>();

  const shardOf = (service: string, name: string): Shard => {
    const shard = hosted.named(service, name);
    if (shard === undefined) throw new CardumeError('partition-unavailable', `'${name}' is not hosted here`);
    return shard;
  };

  /** Whoever goes back needs no shard that nothing has reached. */
  function isWanted({ service, name }: ShardOfMap, { phase, moves }: Reshard): boolean {
    if (phase === 'moving') return true;
    const isHome = Object.values(map.now.homes[service] ?? {}).includes(name);
    return (
      isHome || moves.some(({ from, to, state }) => state !== 'waiting' && (from === name || to === name))
    );
  }

  async function openMissing(reshard: Reshard): Promise<void> {
    for (const shard of map.now.shards) {
      if (hosted.named(shard.service, shard.name) !== undefined || !isWanted(shard, reshard)) continue;
      const sinceMs = clock.monotonicMs();
      await ground.open(shard, map.now);
      await rest(sinceMs, REST, REST_BETWEEN_MS_MAX);
    }
  }

  /** A switch that was cut off behind the map: the home that the map names is opened. */
  async function bringHome(service: string, { partition, from, to, state }: PartitionMove): Promise<void> {
    const name = state === 'moved' ? to : from;
    const home = shardOf(service, name);
    if (headOf(home, partition) !== undefined || !homes.isHome(service, partition) || long.isOver) return;
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

  /** What is at home in another region by now stays where it is held here; nothing else of it is left. */
  async function leaveOut({ service, moves }: Reshard): Promise<void> {
    for (const { partition, from, to, state } of moves) {
      if (homes.isHome(service, partition) || state === 'waiting' || long.isOver) continue;
      if (state === 'copying') {
        await dropAll(service, to, partition);
        map.save(withMove(map.now, partition, 'waiting'));
      } else if (!strays.has(partition)) {
        await dropAll(service, from, partition);
        strays.add(partition);
      }
    }
  }

  async function work(): Promise<void> {
    while (map.now.reshard !== null && !long.isOver) {
      try {
        ground.check();
        await openMissing(map.now.reshard);
        await leaveOut(map.now.reshard);
        for (const move of map.now.reshard.moves) await bringHome(map.now.reshard.service, move);
        await phases[map.now.reshard.phase](map.now.reshard);
        trouble = null;
      } catch (error) {
        if (long.isOver) return;
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
        if (map.now.reshard?.phase !== 'moving' || long.isOver) return;
        if (move.state === 'moved' || !homes.isHome(service, partition)) continue;
        const sinceMs = clock.monotonicMs();
        // A process that stood still may have begun a copy behind the back of the one that cleared it away.
        if (move.state === 'waiting' && (await stands(service, move.to, partition)))
          await dropAll(service, move.to, partition);
        if (map.now.reshard?.phase !== 'moving') return;
        if (!(await transfers.carryOver(there(service, move)))) return;
        await followOnce();
        await rest(sinceMs, REST, REST_BETWEEN_MS_MAX);
      }
      if (map.now.reshard?.phase === 'moving') map.save(withPhase(map.now, 'following'));
    },
    async following() {
      await followOnce();
      await clock.sleep(FOLLOW_MS);
    },
    async returning({ service, moves }) {
      for (const { partition } of moves) {
        const move = currentMove(partition);
        if (!homes.isHome(service, partition)) continue; // it stays where it is
        if (long.isOver || (move.state === 'moved' && !(await transfers.carryOver(back(service, move)))))
          return;
        if (currentMove(partition).state === 'waiting') continue;
        await dropAll(service, move.to, partition);
        map.save(withMove(map.now, partition, 'waiting'));
      }
      map.save(withPhase(map.now, 'dropping'));
    },
    async dropping({ service, moves }) {
      for (const { partition, from, state } of moves) {
        if (long.isOver) return;
        if (state === 'moved') await dropAll(service, from, partition);
      }
      const left = withoutReshard(map.now);
      const gone = map.now.shards.filter(({ name }) => !left.shards.some((one) => one.name === name));
      for (const shard of gone) await checkDecided(shard);
      map.save(left);
      for (const { service: of, name } of gone) {
        const open = hosted.named(of, name);
        hosted.remove(of, name);
        await open?.close();
      }
    },
  };

  const currentMove = (partition: number): PartitionMove =>
    (map.now.reshard as Reshard).moves.find((one) => one.partition === partition) as PartitionMove;

  function there(service: string, { partition, from, to, state }: PartitionMove): Transfer {
    return {
      ...between(service, partition, from, to),
      begun() {
        if (state === 'waiting') map.save(withMove(map.now, partition, 'copying'));
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

  function between(service: string, partition: number, fromName: string, toName: string): Way {
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
    const { service, moves } = map.now.reshard as Reshard;
    for (const { partition, from, to, state } of moves) {
      if (state !== 'moved' || long.isOver) continue;
      const way = between(service, partition, to, from);
      const home = headOf(way.from, partition);
      if (home === undefined) continue;
      const known = followed.get(partition) ?? (await takeUp(way)).position;
      if (home.position === known) continue;
      followed.set(partition, await transfers.copyUpTo(way, known, home.position));
    }
  }

  /** It was left out while the partition was at home in another region. */
  function takeUp({ partition, to, toName }: Way): Promise<Head> {
    hosted.setCopy(toName, partition, true);
    strays.delete(partition);
    return to.moving.begin(partition);
  }

  /** A shard that is not opened again is not listed either. @throws CardumeError `conflict` while that would hide something */
  async function checkDecided({ service, name }: ShardOfMap): Promise<void> {
    const shard = hosted.named(service, name);
    if (shard === undefined) return;
    for await (const page of pagesOf({ service, name, shard }, null, null))
      if (page.some(({ settled }) => settled === null))
        throw new CardumeError(
          'conflict',
          `'${name}' has quarantined entries that nobody has decided about: submit them again, or discard them (cardume regions quarantine), and the reshard ends`,
        );
  }

  /** A copy of it is there. */
  async function stands(service: string, name: string, partition: number): Promise<boolean> {
    try {
      await shardOf(service, name).moving.follow(partition);
      return true;
    } catch (error) {
      if (isCardumeError(error, 'conflict')) return false;
      throw error;
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

  /** @throws CardumeError `conflict` */
  function checkHomes(service: string): void {
    const away = Object.keys(map.now.homes[service] ?? {}).filter(
      (key) => !homes.isHome(service, Number(key)),
    );
    if (away.length === 0) return;
    throw new CardumeError(
      'conflict',
      `partitions ${away.slice(0, AWAY_NAMED_MAX).join(', ')} of '${service}' are at home in another region now: switch them over first`,
    );
  }

  function begin(): void {
    if (working !== null || map.now.reshard === null || long.isOver) return;
    working = work().finally(() => {
      working = null;
    });
  }

  function status(): ReshardingStatus {
    const { version, reshard } = map.now;
    const shards = watch.status(map.now);
    if (reshard === null) return { version, shards, reshard: null };
    const moves = reshard.moves.map((move): MoveStatus => ({ ...move, ...transfers.noted(move.partition) }));
    return { version, shards, reshard: { ...reshard, moves, trouble } };
  }

  function changePhase(allowed: readonly Reshard['phase'][], phase: Reshard['phase'], what: string): void {
    const now = map.now.reshard?.phase;
    if (now === undefined) throw new CardumeError('conflict', `there is no reshard to ${what}`);
    if (!allowed.includes(now)) throw new CardumeError('conflict', `it is ${now}, and cannot ${what} now`);
    map.save(withPhase(map.now, phase));
  }

  return {
    begin,
    concerns: (service, partition) =>
      map.now.reshard?.service === service &&
      map.now.reshard.moves.some((one) => one.partition === partition),
    staticHomes: (service, name) => (map.now.version === 0 ? homesIn(map.now, service, name) : null),
    async handle(request) {
      switch (request.ask) {
        case 'status':
          break;
        case 'begin':
          checkHomes(request.wish.service);
          map.save(planReshard(map.now, request.wish, clock.nowMs(), ground.engines));
          transfers.forget();
          followed.clear();
          strays.clear();
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
      long.end();
      watch.close();
      await working;
    },
  };
}
