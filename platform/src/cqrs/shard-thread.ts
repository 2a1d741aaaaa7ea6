/**
 * What a shard does on its writer thread beside the log: projections after each commit, and the small stores that
 * wait for the disk (subject keys, snapshots, checkpoints of processes). It is the tail of the shard's log.
 */

import { isCardumeError } from '../base/errors.ts';
import type { Tail, TailSource } from '../events/tail.ts';
import type { Host } from '../host/host.ts';
import type { KeyStore, WrappedKey } from '../privacy/key-store.ts';
import { openStores } from './engines.ts';
import { openProjector, type Projector } from './projector.ts';
import type { FoldReport } from './read-model-health.ts';
import type { Service } from './service.ts';
import type { ProcessCheckpoint, ShardPlace, Snapshot, Stores } from './storage.ts';
import { upcastersOf } from './upcasting.ts';

export interface ShardThreadInit {
  /** Module that exports `service`. */
  readonly module: string;
  readonly place: ShardPlace;
}

export type ShardRequest =
  /** As after a commit: see `FoldReport`. */
  | { readonly kind: 'report' }
  /** After a fold that failed; what it missed stands in the log. */
  | { readonly kind: 'catch-up' }
  /** A page of what is being built. */
  | { readonly kind: 'build' }
  | {
      readonly kind: 'ensure-key';
      readonly partition: number;
      readonly subject: string;
      readonly wrapped: Uint8Array;
    }
  | { readonly kind: 'find-key'; readonly partition: number; readonly subject: string }
  /** Answered by those that there are. */
  | {
      readonly kind: 'find-keys';
      readonly wanted: readonly (readonly [partition: number, subjects: readonly string[]])[];
    }
  | {
      readonly kind: 'list-keys';
      readonly partition: number;
      readonly afterSubject: string;
      readonly keysMax: number;
    }
  | { readonly kind: 'put-keys'; readonly keys: readonly WrappedKey[] }
  /** A part of all that is kept of a copy beside its log. Answered by how many rows: fewer than the most, none is left. */
  | { readonly kind: 'drop'; readonly partition: number; readonly rowsMax: number }
  /** What was derived from entries of a copy behind the position, in parts: answered by `Discarded`. The keys stay. */
  | {
      readonly kind: 'discard';
      readonly partition: number;
      readonly afterPosition: number;
      readonly rowsMax: number;
    }
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'checkpoint'; readonly checkpoint: ProcessCheckpoint };

export interface Discarded {
  /** It must be asked for again. */
  readonly isMore: boolean;
  readonly report: FoldReport;
}

export async function openTail(host: Host, init: ShardThreadInit, source: TailSource): Promise<Tail> {
  const { service } = (await host.threads.load(init.module)) as unknown as { service: Service };
  const { projections } = service;
  const stores = await openStores(host, init.place, projections, source);
  try {
    if (stores.readModels.begunAgain) await stores.memory.clear();
    const projector = openProjector(stores.readModels, projections, upcastersOf(service.aggregates), source);
    return { ...(await follow(host, projector, stores)), close: stores.close };
  } catch (error) {
    await stores.close();
    throw error;
  }
}

async function follow(
  host: Host,
  projector: Projector,
  { readModels, memory, keys }: Stores,
): Promise<Omit<Tail, 'close'>> {
  /** Why the last fold failed. What it missed stands in the log; partitions without new entries missed it too. */
  let behind: string | null = null;
  let isTold = false;
  const report = (): FoldReport =>
    behind === null
      ? { halts: projector.halts(), building: projector.building(), refolding: projector.refolding() }
      : { error: behind };

  async function guarded(fold: () => Promise<void>): Promise<void> {
    behind = 'the last fold was cut off';
    try {
      await fold();
      behind = null;
    } catch (error) {
      behind = (error as Error).message;
      throw error;
    }
  }

  async function catchUp(): Promise<FoldReport> {
    try {
      await guarded(projector.catchUp);
    } catch (error) {
      // Appends go on: whoever reads is told, and it is tried again.
      if (!isCardumeError(error, 'storage-failed') && !isCardumeError(error, 'fenced')) throw error;
    }
    return report();
  }

  async function build(): Promise<FoldReport> {
    if (behind === null) await projector.build();
    return report();
  }

  async function discard(partition: number, afterPosition: number, rowsMax: number): Promise<Discarded> {
    const rows = await projector.discard(partition, afterPosition, rowsMax);
    const isDiscarded = projector.refolding().some((one) => one.partition === partition);
    // The log is cut next: as with what is dropped.
    const isMore = rows === rowsMax || (isDiscarded && !(await readModels.settle()));
    if (!isMore) await memory.cut(partition, afterPosition);
    return { isMore, report: report() };
  }

  async function drop(partition: number, rowsMax: number): Promise<number> {
    projector.leave(partition);
    const rows = await readModels.drop(partition, rowsMax);
    if (rows === rowsMax) return rows;
    // The log's entries go next: rows that a loss of power brought back could not be told from others any more.
    if (!(await readModels.settle())) return rowsMax; // it is asked again
    await memory.drop(partition);
    return rows + (await keys.drop(partition, rowsMax - rows));
  }

  await catchUp();
  return {
    report,
    async commit(entries) {
      const wasBehind = behind !== null;
      let halts = 0;
      await guarded(async () => {
        if (wasBehind) await projector.catchUp();
        halts = (await projector.fold(entries)).length;
      });
      if (isTold && !wasBehind && halts === 0) return null;
      isTold = true;
      return report();
    },
    ask(request: ShardRequest) {
      switch (request.kind) {
        case 'report':
          return report();
        case 'catch-up':
          return catchUp();
        case 'build':
          return build();
        case 'ensure-key':
          return keys.ensure(request, host.clock.nowMs());
        case 'find-key':
          return keys.find(request.partition, request.subject);
        case 'find-keys':
          return findKeys(keys, request.wanted);
        case 'list-keys':
          return keys.list(request.partition, request.afterSubject, request.keysMax);
        case 'put-keys':
          return keys.put(request.keys, host.clock.nowMs());
        case 'drop':
          return drop(request.partition, request.rowsMax);
        case 'discard':
          return discard(request.partition, request.afterPosition, request.rowsMax);
        case 'snapshot':
          return memory.saveSnapshot(request.snapshot);
        case 'checkpoint':
          return memory.saveCheckpoint(request.checkpoint);
      }
    },
  };
}

async function findKeys(
  keys: KeyStore,
  wanted: Extract<ShardRequest, { kind: 'find-keys' }>['wanted'],
): Promise<WrappedKey[]> {
  const found: WrappedKey[] = [];
  for (const [partition, subjects] of wanted) found.push(...(await keys.findAll(partition, subjects)));
  return found;
}
