/**
 * Up to which position each partition that is at home here is durable in a second region: the greatest that any region whose
 * disk counts has acknowledged. Positions that were acknowledged stay so, as long as the home does. What no other region may
 * hold waits for none.
 */
import { CardumeError } from '../base/errors.ts';
import type { Clock, Timer } from '../host/host.ts';
import type { RegionName, ServiceName } from '../topology/topology.ts';

export interface Watermarks {
  /** 0: nothing is known yet. Beyond all positions: no other region's disk counts. */
  of(service: ServiceName, partition: number): number;
  /** Of one region; null: it follows nothing of the partition. */
  by(service: ServiceName, partition: number, region: RegionName): number | null;
  /** A region has all up to the position. It may be less than before: of one that lost its disk. */
  acked(region: RegionName, service: ServiceName, partition: number, position: number): void;
  /**
   * Resolves when the watermark is there.
   * @throws CardumeError `unknown-outcome` when it does not come in time, or the home goes away
   */
  reached(service: ServiceName, partition: number, position: number): Promise<void>;
  /** The watermark of a partition has risen. @returns ends it */
  onRise(listener: (service: ServiceName, partition: number, watermark: number) => void): () => void;
  /** The partition's home is not here any more, or came a moment ago: nothing is known of it. */
  forget(service: ServiceName, partition: number): void;
}

interface Waiter {
  readonly position: number;
  readonly timer: Timer;
  resolve(): void;
  reject(error: CardumeError): void;
}

interface Line {
  readonly regions: Map<RegionName, number>;
  watermark: number;
  /** In order of arrival, which is that of positions but for reads. */
  waiters: Waiter[];
}

/** @param seconds regions whose disks count for the partition; all do when it is left out */
export function openWatermarks(
  clock: Clock,
  waitMsMax: number,
  seconds?: (service: ServiceName, partition: number) => readonly RegionName[],
): Watermarks {
  const lines = new Map<string, Line>();
  const listeners = new Set<(service: ServiceName, partition: number, watermark: number) => void>();

  function lineOf(service: ServiceName, partition: number): Line {
    const key = `${service}/${partition}`;
    let line = lines.get(key);
    if (line === undefined) {
      line = { regions: new Map(), watermark: 0, waiters: [] };
      lines.set(key, line);
    }
    return line;
  }

  const isAlone = (service: ServiceName, partition: number): boolean =>
    seconds?.(service, partition).length === 0;

  return {
    of(service, partition) {
      if (isAlone(service, partition)) return Number.MAX_SAFE_INTEGER;
      return lines.get(`${service}/${partition}`)?.watermark ?? 0;
    },
    by: (service, partition, region) => lines.get(`${service}/${partition}`)?.regions.get(region) ?? null,
    acked(region, service, partition, position) {
      const line = lineOf(service, partition);
      line.regions.set(region, position);
      if (position <= line.watermark) return;
      if (seconds?.(service, partition).includes(region) === false) return;
      line.watermark = position;
      const waiting = line.waiters;
      line.waiters = waiting.filter((waiter) => waiter.position > position);
      for (const waiter of waiting) {
        if (waiter.position > position) continue;
        waiter.timer.cancel();
        waiter.resolve();
      }
      for (const listener of listeners) listener(service, partition, position);
    },
    reached(service, partition, position) {
      if (isAlone(service, partition)) return Promise.resolve();
      const line = lineOf(service, partition);
      if (line.watermark >= position) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const timer = clock.after(waitMsMax, () => {
          line.waiters = line.waiters.filter((one) => one !== waiter);
          reject(
            new CardumeError(
              'unknown-outcome',
              `it stands in this region, and no other has it after ${waitMsMax} ms`,
            ),
          );
        });
        const waiter = { position, timer, resolve, reject };
        line.waiters.push(waiter);
      });
    },
    onRise(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    forget(service, partition) {
      const key = `${service}/${partition}`;
      const line = lines.get(key);
      lines.delete(key);
      for (const { timer, reject } of line?.waiters ?? []) {
        timer.cancel();
        reject(new CardumeError('unknown-outcome', `partition ${partition} has moved to another region`));
      }
    },
  };
}

/**
 * Resolves when one region has all up to the position.
 * @throws CardumeError `partition-unavailable` when it does not in time
 */
export async function untilReached(
  clock: Clock,
  watermarks: Watermarks,
  region: RegionName,
  service: ServiceName,
  partition: number,
  position: number,
  msMax: number,
): Promise<void> {
  const untilMs = clock.monotonicMs() + msMax;
  while ((watermarks.by(service, partition, region) ?? -1) < position) {
    if (clock.monotonicMs() >= untilMs)
      throw new CardumeError(
        'partition-unavailable',
        `${region} does not have partition ${partition} of '${service}' up to ${position} after ${msMax} ms`,
      );
    await clock.sleep(LOOK_AGAIN_MS);
  }
}

const LOOK_AGAIN_MS = 2;
