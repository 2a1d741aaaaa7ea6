/** Brings a message to the home of a partition: a function call when that is here, one message to a peer when not. */
import type { Json } from '../base/json.ts';
import type { Partition, Placement } from '../topology/partition.ts';
import type { RegionName } from '../topology/topology.ts';
import type { Serve } from './answerer.ts';
import type { Peers } from './peer.ts';

export interface Router {
  /** @throws CardumeError `not-found` for a partition that does not exist, and as `Peers.request` */
  route(partition: Partition, message: Json): Promise<Json>;
  routeStream(partition: Partition, message: Json, signal: AbortSignal): AsyncIterable<Json>;
}

export interface RouterOptions {
  readonly here: RegionName;
  readonly placement: Placement;
  readonly peers: Pick<Peers, 'request' | 'stream'>;
  /** What this instance also answers its peers with. */
  readonly serve: Serve;
}

export function openRouter({ here, placement, peers, serve }: RouterOptions): Router {
  const never = new AbortController().signal;
  return {
    async route(partition, message) {
      const home = placement.homeOf(partition);
      if (home !== here) return peers.request(home, message);
      return serve(here, message, never) as Promise<Json>;
    },
    routeStream(partition, message, signal) {
      const home = placement.homeOf(partition);
      if (home !== here) return peers.stream(home, message, signal);
      return serve(here, message, signal) as AsyncIterable<Json>;
    },
  };
}
