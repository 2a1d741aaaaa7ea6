/**
 * One partition goes from one shard to another while it is used.
 *
 *   copy      the log, page by page, the keys, and with the entries what read models make of them; throttled
 *   verify    read models of home and copy, folded up to the same position, have the same digest
 *   hold      callers wait; the home is released, which makes everything told durable and fences whoever had it open
 *   catch up  the last entries and keys; position and checksum of both logs are the same
 *   switch    the map is written: from here on the copy is the home, whatever breaks
 *   adopt     the new home opens in an epoch above; callers go on
 */
import { CardumeError } from '../base/errors.ts';
import { differences } from '../cqrs/digest.ts';
import type { Shard } from '../cqrs/shard.ts';
import type { KeyWatch } from '../cqrs/shard-moving.ts';
import { sameChecksum } from '../events/checksum.ts';
import type { Entry, Head } from '../events/log.ts';
import type { Clock } from '../host/host.ts';
import type { ShardMap } from '../sharding/shard-map.ts';
import type { Hosted } from './hosted.ts';
import { type LongWork, REST, REST_MS_MAX } from './long-work.ts';
import { type StandingMap, Unsettled } from './standing-map.ts';

/** A partition on its way. */
export interface Transfer extends Way {
  /** There is a copy. */
  begun(): void;
  /** The map behind the switch. */
  done(now: ShardMap): ShardMap;
}

export interface Way {
  readonly service: string;
  readonly partition: number;
  readonly from: Shard;
  readonly fromName: string;
  readonly to: Shard;
  readonly toName: string;
}

/** What became of a transfer that this process made. */
export interface Transferred {
  /** How long callers were held. */
  heldMs: number | null;
  /** What was found equal. */
  verified: Verified | null;
  /** That the copy has to go, while it grows. */
  entriesLeft: number | null;
}

export interface Verified {
  readonly entries: number;
  /** Of read models, over all tables. */
  readonly rows: number;
}

export interface Transfers {
  /** @returns whether it is done; false: the instance closes */
  carryOver(transfer: Transfer): Promise<boolean>;
  /**
   * Brings the copy up to the position, or close behind a home that goes on.
   * @returns where the copy stands then
   */
  copyUpTo(way: Way, position: number, upTo: number): Promise<number>;
  noted(partition: number): Transferred;
  forget(): void;
}

export interface TransferGround {
  readonly clock: Clock;
  readonly map: StandingMap;
  readonly hosted: Hosted;
  readonly work: LongWork;
  readonly homes: RegionHomes;
}

/** Between which shards a partition moves is a region's own affair; whether it is at home there at all is not. */
export interface RegionHomes {
  /** The region is home to the partition now. */
  isHome(service: string, partition: number): boolean;
  /** Nothing else moves the partition meanwhile. */
  inTurn<T>(service: string, partition: number, work: () => Promise<T>): Promise<T>;
}

/** Short, since a writer thread serves several shards. */
const PAGE_ENTRIES = 64;
/** Of a home that is written faster than it is copied. */
const PAGE_ENTRIES_MAX = 512;
const PAGE_KEYS = 500;
const VERIFY_TRIES_MAX = 20;

export const headOf = (shard: Shard, partition: number): Head | undefined =>
  shard.log.heads().find((head) => head.partition === partition);

/** @throws CardumeError `conflict` when they do not follow what stands */
async function copyPage(to: Shard, partition: number, entries: readonly Entry[]): Promise<void> {
  if (entries.length === 0) return;
  const [copied] = await to.moving.copy([{ partition, homeEpoch: null, entries }]);
  if (copied !== undefined && 'refused' in copied)
    throw new CardumeError(copied.refused.code, copied.refused.detail);
}

export function openTransfers({ clock, map, hosted, work, homes }: TransferGround): Transfers {
  const { rest, insist } = work;
  const told = new Map<number, Transferred>();

  function noted(partition: number): Transferred {
    const known = told.get(partition) ?? { heldMs: null, verified: null, entriesLeft: null };
    told.set(partition, known);
    return known;
  }

  /**
   * Brings the copy up to the position, or close behind a home that goes on. As long as the distance does not shrink it
   * rests less and less, and takes more at a time.
   * @returns where the copy stands then
   */
  async function copyUpTo({ partition, from, to }: Way, position: number, upTo: number): Promise<number> {
    const transferred = noted(partition);
    let at = position;
    let share = REST;
    let entriesMax = PAGE_ENTRIES;
    let distance = Number.POSITIVE_INFINITY;
    try {
      while (at < upTo && !work.isOver) {
        const sinceMs = clock.monotonicMs();
        const page = await from.log.readPartition(partition, at, Math.min(entriesMax, upTo - at));
        await copyPage(to, partition, page);
        at = page.at(-1)?.position ?? at;
        if (page.length < entriesMax) break;
        const left = (headOf(from, partition)?.position ?? at) - at;
        if (left >= distance) {
          share /= 2;
          entriesMax = Math.min(PAGE_ENTRIES_MAX, entriesMax * 2);
        }
        distance = left;
        transferred.entriesLeft = left;
        await rest(sinceMs, share);
      }
    } finally {
      transferred.entriesLeft = null;
    }
    return at;
  }

  async function copyKeys({ partition, from, to }: Way): Promise<void> {
    for (let after = ''; !work.isOver; ) {
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
  async function verify(way: Way, position: number): Promise<number> {
    const { partition, from, to } = way;
    let at = position;
    for (let tries = 1; !work.isOver; tries += 1) {
      const home = await from.moving.digest(partition);
      at = await copyUpTo(way, at, home.position);
      if (work.isOver) break;
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
      transfer.begun(); // before there is anything: what is begun is cleared away as well
      let { position } = await to.moving.begin(partition);
      await copyKeys(transfer);
      position = await copyUpTo(transfer, position, Number.POSITIVE_INFINITY);
      await to.moving.putKeys(partition, keys.take());
      position = await verify(transfer, position);
      await to.moving.putKeys(partition, keys.take());
      // What came in meanwhile: while callers are held, a page is left at most.
      position = await copyUpTo(transfer, position, Number.POSITIVE_INFINITY);
      if (work.isOver) return false;
      const { service } = transfer;
      const end = position;
      await homes.inTurn(service, partition, () => switchOver(transfer, end, keys));
      return true;
    } finally {
      keys.end();
    }
  }

  async function switchOver(transfer: Transfer, position: number, keys: KeyWatch): Promise<void> {
    const { service, partition, fromName, to, toName } = transfer;
    checkHome(transfer);
    const letGo = hosted.hold(service, partition);
    const sinceMs = clock.monotonicMs();
    try {
      const epoch = await handOver(transfer, position, keys);
      // Whatever comes now, it is held where the map says: whoever brings it home looks there.
      hosted.move(service, partition, toName);
      hosted.setCopy(fromName, partition, true);
      await insist(`partition ${partition} is not adopted`, async () => {
        if (homes.isHome(service, partition)) await to.moving.adopt(partition, epoch);
      });
    } finally {
      noted(partition).heldMs = Math.round(clock.monotonicMs() - sinceMs);
      letGo();
    }
  }

  /** @throws CardumeError `conflict` */
  function checkHome({ service, partition }: Way): void {
    if (!homes.isHome(service, partition))
      throw new CardumeError(
        'conflict',
        `partition ${partition} of '${service}' is at home in another region`,
      );
  }

  /** @returns the epoch in which the copy stands, when the map names it; after a throw the old one is home again */
  async function handOver(transfer: Transfer, position: number, keys: KeyWatch): Promise<number> {
    const { service, partition, from, to } = transfer;
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
      await map.saveForCertain(transfer.done(map.now));
      return copy.epoch;
    } catch (error) {
      // Who does not know what the map says, gives the partition to nobody: the next start will know.
      if (error instanceof Unsettled) hosted.lose(service, partition);
      else
        await insist(`partition ${partition} is not home again`, async () => {
          if (homes.isHome(service, partition)) await from.moving.adopt(partition, own + 1);
        });
      throw error;
    }
  }

  async function copyRest({ partition, from, to }: Way, position: number, upTo: number): Promise<void> {
    for (let at = position; at < upTo; ) {
      const page = await from.log.readPartition(partition, at, PAGE_ENTRIES);
      await copyPage(to, partition, page);
      at = page.at(-1)?.position ?? upTo;
    }
  }

  return { carryOver, copyUpTo, noted, forget: () => told.clear() };
}
