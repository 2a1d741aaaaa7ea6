import type { Clock } from '../../host/host.ts';
import { isContended, isLost, isTimedOut } from '../../host/sql.ts';

const TRIES_MAX = 3;
const PAUSE_MS = 50;

/**
 * Work that leaves nothing when it fails, or may be done twice, is done again when its connection was lost (a server
 * that was started anew closes all of them) or the server undid it for another's sake.
 */
export async function again<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      // What took too long would do so again.
      const isPassing = (isLost(error) && !isTimedOut(error)) || isContended(error);
      if (tries === TRIES_MAX || !isPassing) throw error;
      await clock.sleep(tries * PAUSE_MS);
    }
  }
}
