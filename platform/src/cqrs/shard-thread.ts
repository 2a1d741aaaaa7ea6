/**
 * What a shard does on its writer thread beside the log: projections after each commit, and the small stores that
 * wait for the disk (subject keys, snapshots, checkpoints of processes). It is the tail of the shard's log.
 */

import type { Tail, TailSource } from '../events/tail.ts';
import type { Host } from '../host/host.ts';
import { type KeyStore, openKeyStore } from '../privacy/key-store.ts';
import { type Memory, openMemory, type ProcessCheckpoint, type Snapshot } from './memory.ts';
import { type Halt, openProjector, type Projector } from './projector.ts';
import type { Service } from './service.ts';

export interface ShardThreadInit {
  /** Module that exports `service`. */
  readonly module: string;
  /** Paths without ending: `<base>.views.db`, `<base>.memory.db`, `<base>.keys.db`. */
  readonly base: string;
}

export type ShardRequest =
  | { readonly kind: 'halts' }
  | {
      readonly kind: 'ensure-key';
      readonly partition: number;
      readonly subject: string;
      readonly wrapped: Uint8Array;
    }
  | { readonly kind: 'find-key'; readonly partition: number; readonly subject: string }
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'checkpoint'; readonly checkpoint: ProcessCheckpoint };

/** All projections that stand still: after the first commit of an opening, and after each that halted another. */
export interface ShardReport {
  readonly halts: readonly Halt[];
}

export async function openTail(host: Host, init: ShardThreadInit, source: TailSource): Promise<Tail> {
  const { service } = (await import(init.module)) as { service: Service };
  const projector: Projector = openProjector(host.disk, viewsPath(init.base), service.projections, source);
  const memory: Memory = openMemory(host.disk, memoryPath(init.base));
  const keys: KeyStore = openKeyStore(host.disk, `${init.base}.keys.db`);
  if (projector.begunAgain) memory.clear();
  projector.catchUp();
  let behind = false;
  let isTold = false;
  return {
    commit(entries) {
      // After a fold that failed, what it missed stands in the log; partitions without new entries missed it too.
      if (behind) projector.catchUp();
      behind = true;
      const halts = projector.fold(entries);
      behind = false;
      if (isTold && halts.length === 0) return null;
      isTold = true;
      return { halts: projector.halts() };
    },
    ask(request: ShardRequest) {
      switch (request.kind) {
        case 'halts':
          return projector.halts();
        case 'ensure-key':
          return keys.ensure(request, host.clock.nowMs());
        case 'find-key':
          return keys.find(request.partition, request.subject);
        case 'snapshot':
          return memory.saveSnapshot(request.snapshot);
        case 'checkpoint':
          return memory.saveCheckpoint(request.checkpoint);
      }
    },
    close() {
      projector.close();
      memory.close();
      keys.close();
    },
  };
}

export const viewsPath = (base: string): string => `${base}.views.db`;
export const memoryPath = (base: string): string => `${base}.memory.db`;
