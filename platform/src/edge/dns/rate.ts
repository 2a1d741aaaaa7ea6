/**
 * How many queries a client's network may ask in a second, over one transport. An answer is hardly longer than its
 * query, so little is gained by asking in another's name; the bound keeps even that small.
 */
import type { Network } from '../../base/ip.ts';
import type { Clock } from '../../host/host.ts';
import { clientNetwork } from './policy.ts';

export interface Rate {
  /** Counts one query. `cut`: every second one beyond the bound, so that a client who is real can come by TCP. */
  take(client: Network): 'answer' | 'cut' | 'drop';
}

const WINDOW_MS = 1_000;
/** Counted on their own; further ones share one count. */
const NETWORKS_MAX = 65_536;

const OTHERS = '';

/** A number where it can be one: it is made for every message. */
function keyOf({ family, bytes }: Network): number | string {
  if (family === 6) return String.fromCharCode(...bytes);
  return ((bytes[0] as number) << 16) | ((bytes[1] as number) << 8) | (bytes[2] as number);
}

export function openRate(clock: Pick<Clock, 'monotonicMs'>, queriesPerS: number): Rate {
  let counts = new Map<number | string, number>();
  let endMs = 0;
  return {
    take(client) {
      const nowMs = clock.monotonicMs();
      if (nowMs >= endMs) {
        if (counts.size > 0) counts = new Map();
        endMs = nowMs + WINDOW_MS;
      }
      const network = keyOf(clientNetwork(client));
      const key = counts.size < NETWORKS_MAX || counts.has(network) ? network : OTHERS;
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      if (count <= queriesPerS) return 'answer';
      return (count - queriesPerS) % 2 === 1 ? 'cut' : 'drop';
    },
  };
}
