/**
 * Asks whoever is home to a partition, here or elsewhere. While homes can move, nobody at home is no answer yet: the map is
 * looked at again, and who is home then is asked, for a bounded time.
 */
import { isCardumeError } from '../base/errors.ts';
import type { Place } from '../base/id.ts';
import type { Clock } from '../host/host.ts';
import { type Placement, partitionKey } from '../topology/partition.ts';
import type { RegionName, ServiceName } from '../topology/topology.ts';
import type { Hosted } from './hosted.ts';

export interface AtHomeOptions {
  readonly clock: Clock;
  readonly here: RegionName;
  readonly placement: Placement;
  readonly hosted: Pick<Hosted, 'isHere'>;
  /** Regions take partitions over from each other. */
  readonly homesMove: boolean;
}

export interface AtHome {
  homeOf(service: ServiceName, place: Place): RegionName;
  /** @param isRepeatable it may be asked again also where nobody knows what became of it */
  ask<T>(
    service: ServiceName,
    place: Place,
    isRepeatable: boolean,
    here: () => Promise<T>,
    there: (home: RegionName) => Promise<T>,
  ): Promise<T>;
  /** Tries again what found nobody at home. */
  again<T>(isRepeatable: boolean, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Whether it may have met a home that moves, or was lost: nothing was done. */
  mayHaveMoved(error: unknown, isRepeatable: boolean): boolean;
}

/** A lost region has successors before. */
export const MOVED_MS_MAX = 6_000;
const AGAIN_MS_MIN = 5;
const AGAIN_MS_MAX = 200;
/** Those that wait for a home at the same time; beyond it they are told at once. */
const WAITING_MAX = 2_000;

export function openAtHome({ clock, here, placement, hosted, homesMove }: AtHomeOptions): AtHome {
  let waiting = 0;

  function mayHaveMoved(error: unknown, isRepeatable: boolean): boolean {
    if (!homesMove || !isCardumeError(error)) return false;
    switch (error.code) {
      case 'partition-unavailable':
      case 'fenced':
      case 'draining':
        return true;
      case 'unknown-outcome':
        return isRepeatable;
      default:
        return false;
    }
  }

  async function tryOn<T>(
    failure: unknown,
    isRepeatable: boolean,
    work: () => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const untilMs = clock.monotonicMs() + MOVED_MS_MAX;
    if (waiting >= WAITING_MAX) throw failure;
    waiting += 1;
    try {
      for (let pauseMs = AGAIN_MS_MIN; ; pauseMs = Math.min(AGAIN_MS_MAX, pauseMs * 2)) {
        await clock.sleep(pauseMs);
        signal?.throwIfAborted();
        try {
          return await work();
        } catch (error) {
          if (!mayHaveMoved(error, isRepeatable) || clock.monotonicMs() >= untilMs) throw error;
        }
      }
    } finally {
      waiting -= 1;
    }
  }

  function again<T>(isRepeatable: boolean, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const first = work();
    if (!homesMove) return first;
    return first.catch((error: unknown) => {
      if (!mayHaveMoved(error, isRepeatable)) throw error;
      return tryOn(error, isRepeatable, work, signal);
    });
  }

  const homeOf = (service: ServiceName, place: Place): RegionName =>
    placement.homeOf({ service, scope: place.scope, partition: place.partition });

  return {
    homeOf,
    again,
    mayHaveMoved,
    ask: (service, place, isRepeatable, local, there) =>
      again(isRepeatable, () => {
        if (hosted.isHere(service, partitionKey(place))) return local();
        const home = homeOf(service, place);
        return home === here ? local() : there(home);
      }),
  };
}
