/** What operators see of a region's shards: what each holds, and which of its partitions are busy. */
import type { Building } from '../cqrs/building.ts';
import type { ReplicaStatus } from '../cqrs/replicas.ts';
import type { Clock } from '../host/host.ts';
import { homesIn, type ShardMap, type ShardOfMap } from '../sharding/shard-map.ts';
import type { Hosted } from './hosted.ts';

export interface ShardStatus extends ShardOfMap {
  /** Read models that are not up to the log yet. */
  readonly building: readonly Building[];
  readonly replicas: readonly ReplicaStatus[];
  readonly partitions: number;
  /** Entries in its homes. */
  readonly entries: number;
  /** Its busiest partitions: entries that came in the last minute. */
  readonly busiest: readonly { readonly partition: number; readonly entriesAMinute: number }[];
}

export interface ShardWatch {
  status(map: ShardMap): ShardStatus[];
  close(): void;
}

const RATE_EVERY_MS = 10_000;
const RATE_SAMPLES = 6;
const BUSIEST = 3;

export function watchShards(clock: Clock, hosted: Hosted, mapNow: () => ShardMap): ShardWatch {
  /** Entries of each partition, every ten seconds. */
  const samples: Map<string, number>[] = [];

  function entriesNow(): Map<string, number> {
    const entries = new Map<string, number>();
    for (const { service, name } of mapNow().shards) {
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

  return {
    status(map) {
      const now = entriesNow();
      const before = samples[0] ?? now;
      const minutes = Math.max(1, samples.length) * (RATE_EVERY_MS / 60_000);
      return map.shards.map((shard): ShardStatus => {
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
        const open = hosted.named(shard.service, shard.name);
        const [building, replicas] = [open?.building() ?? [], open?.replicas() ?? []];
        return { ...shard, building, replicas, partitions: partitions.length, entries, busiest };
      });
    },
    close: () => sampling.cancel(),
  };
}
