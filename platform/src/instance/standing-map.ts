/** The map of shards that stands, and how it changes: also after a write of which nobody knows whether it stands. */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { ShardMap } from '../sharding/shard-map.ts';
import type { LongWork } from './long-work.ts';

/** What the map says is not known. */
export class Unsettled extends Error {}

export interface StandingMap {
  readonly now: ShardMap;
  /** @throws CardumeError `fenced` when another process has the region by now */
  save(next: ShardMap): void;
  /**
   * A write that failed may stand all the same: what holds is found out, however long it takes.
   * @throws the failure when the map does not stand; Unsettled when the work ends before that is known
   */
  saveForCertain(next: ShardMap): Promise<void>;
}

export interface MapFile {
  /** @throws CardumeError `fenced` */
  readonly save: (map: ShardMap) => void;
  /** The map that stands, after a write that failed. */
  readonly settle: () => ShardMap;
}

export function standingMap(first: ShardMap, file: MapFile, { insist }: LongWork): StandingMap {
  let now = first;
  /** A write has failed, and may stand. */
  let isUnsettled = false;

  function save(next: ShardMap): void {
    if (isUnsettled) throw new CardumeError('storage-failed', 'what the map of shards says is not known now');
    file.save(next);
    now = next;
  }

  return {
    get now() {
      return now;
    },
    save,
    async saveForCertain(next) {
      try {
        save(next);
      } catch (error) {
        if (!isCardumeError(error, 'storage-failed')) throw error;
        isUnsettled = true;
        try {
          await insist('the map of shards cannot be read', async () => {
            now = file.settle();
          });
        } catch (unsettled) {
          throw new Unsettled('what the map of shards says is not known', { cause: unsettled });
        }
        isUnsettled = false;
        if (JSON.stringify(now) !== JSON.stringify(next)) throw error;
      }
    },
  };
}
