/** Mutants of what a log does for regions: see log-mutants.ts. */
import type { LogMutant } from './log-mutants.ts';

export const FLOOR = 'a floor lifts the epoch of whoever opens or adopts, and never lowers it';

export const regionMutants: Readonly<Record<string, LogMutant>> = {
  'an opening ignores its floor': {
    breaks: [FLOOR],
    sql: [['VALUES (?, max(1, ?), 0', 'VALUES (?, max(1, min(1, ?)), 0']],
  },
  'an adoption ignores its floor': {
    breaks: [FLOOR],
    sql: [['SET epoch = max(epoch + 1, ?), batch = ?', 'SET epoch = epoch + min(1, max(1, ?)), batch = ?']],
  },
};
