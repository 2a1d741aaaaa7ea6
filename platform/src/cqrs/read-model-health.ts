/**
 * What a shard's main thread knows of its read models: which have halted, and whether all are behind the log, since a
 * fold failed for the storage's sake. Then it has them try again, until they have caught up.
 */
import { CardumeError } from '../base/errors.ts';
import type { Clock, Timer } from '../host/host.ts';
import type { Halt } from './projector.ts';

/** All projections that stand still, or why none follows the log now; null: nothing has changed. */
export type FoldReport = { readonly halts: readonly Halt[] } | { readonly error: string } | null;

export interface ReadModelHealth {
  /** Takes what the writer thread reports, in order. */
  told(report: FoldReport): void;
  /** @throws CardumeError `read-model-halted` */
  refuseHalted(table: string): void;
  close(): void;
}

export interface ReadModelHealthOptions {
  readonly clock: Clock;
  /** Has the writer thread fold what is missing. */
  readonly catchUp: () => Promise<FoldReport>;
  /** A line for the operator. */
  readonly report: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

const CATCH_UP_PAUSE_MS = 500;

export function readModelHealth({ clock, catchUp, report }: ReadModelHealthOptions): ReadModelHealth {
  const halted = new Map<string, Halt>();
  let behind: string | null = null;
  let next: Timer | null = null;
  let isClosed = false;

  function halt(halts: readonly Halt[]): void {
    const before = new Set([...halted.values()].map(({ projection }) => projection));
    halted.clear();
    for (const one of halts) {
      if (!before.has(one.projection)) report('a projection has halted', { ...one });
      for (const table of one.tables) halted.set(table, one);
    }
  }

  function told(fold: FoldReport): void {
    if (fold === null) {
      behind = null;
    } else if ('halts' in fold) {
      behind = null;
      halt(fold.halts);
    } else {
      if (behind === null) report('the read models could not follow', { error: fold.error });
      behind = fold.error;
      // The next commit would catch up, too, but there may be none.
      if (!isClosed) next ??= clock.after(CATCH_UP_PAUSE_MS, () => void tryAgain());
    }
  }

  async function tryAgain(): Promise<void> {
    next = null;
    if (behind !== null && !isClosed)
      told(await catchUp().catch(({ message }: Error) => ({ error: message })));
  }

  return {
    told,
    refuseHalted(table) {
      const one = halted.get(table);
      if (one !== undefined) throw new CardumeError('read-model-halted', `'${one.projection}' has halted`);
      if (behind !== null) throw new CardumeError('read-model-halted', 'the read models are behind the log');
    },
    close() {
      isClosed = true;
      next?.cancel();
    },
  };
}
