/**
 * Where the processes of a partition stand at its home, brought to its copy now and then: whoever takes the partition over
 * folds what has come since, and not the whole log, before it serves it.
 */
import { isCardumeError } from '../../base/errors.ts';
import type { Json } from '../../base/json.ts';
import type { ShardMoving } from '../../cqrs/shard-moving.ts';
import type { ProcessCheckpoint } from '../../cqrs/storage.ts';
import type { ServiceName } from '../../topology/topology.ts';

export interface CheckpointsGround {
  /** As the home has saved them. @throws CardumeError */
  readonly checkpointsOf: (service: ServiceName, partition: number) => Promise<readonly ProcessCheckpoint[]>;
  readonly shardOf: (
    service: ServiceName,
    partition: number,
  ) => { readonly moving: Pick<ShardMoving, 'putCheckpoints'> } | undefined;
}

export interface Checkpoints {
  /** The copy is as far as this. */
  reached(service: ServiceName, partition: number, position: number): void;
}

/** As often as a home saves them. */
export const CHECKPOINT_EVERY_ENTRIES = 5_000;

export function openCheckpoints({ checkpointsOf, shardOf }: CheckpointsGround): Checkpoints {
  /** Position of each copy when its home was last asked. */
  const askedAt = new Map<string, number>();
  const due: (readonly [service: ServiceName, partition: number, position: number])[] = [];
  let isBusy = false;

  /** One after another: it is never urgent. */
  async function bring(): Promise<void> {
    isBusy = true;
    for (let next = due.shift(); next !== undefined; next = due.shift()) {
      const [service, partition, position] = next;
      try {
        // One that is ahead of the copy names an entry that it does not have.
        const saved = (await checkpointsOf(service, partition)).filter((one) => one.position <= position);
        if (saved.length > 0) await shardOf(service, partition)?.moving.putCheckpoints(partition, saved);
      } catch (error) {
        if (!isCardumeError(error)) throw error; // it is asked again later
      }
    }
    isBusy = false;
  }

  return {
    reached(service, partition, position) {
      const name = `${service}/${partition}`;
      if (position - (askedAt.get(name) ?? 0) < CHECKPOINT_EVERY_ENTRIES) return;
      askedAt.set(name, position);
      due.push([service, partition, position]);
      if (!isBusy) void bring();
    },
  };
}

export function packCheckpoint({ open, ...checkpoint }: ProcessCheckpoint): Json {
  return { ...checkpoint, open: open.toBase64() };
}

export function unpackCheckpoint(packed: Json): ProcessCheckpoint {
  const { open, ...checkpoint } = packed as unknown as Omit<ProcessCheckpoint, 'open'> & { open: string };
  return { ...checkpoint, open: Uint8Array.fromBase64(open) };
}
