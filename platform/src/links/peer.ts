/**
 * Links between instances: one connection to each peer for all that this instance asks of it, opened when it is first
 * needed. Many requests share it, each turn's frames share a write. (The peer opens its own for what it asks here.)
 *
 * A peer that cannot be reached fails requests at once until a pause has passed, 50 ms at first and doubling up to 2 s, or
 * until it comes by itself; then the next request tries again. `partition-unavailable` means that nothing was sent;
 * `unknown-outcome` that the message had left and no answer came.
 *
 * Limits: names, not machines, are peers (one instance a region); no encryption (see handshake.ts).
 */
import { assert } from '../base/assert.ts';
import { CardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { Host } from '../host/host.ts';
import type { Address, Connection, Listener } from '../host/network.ts';
import { type Answerer, openAnswerer, type Serve } from './answerer.ts';
import { type Asker, openAsker } from './asker.ts';
import { openChannel } from './channel.ts';
import { accept, dial, HANDSHAKE_BYTES_MAX } from './handshake.ts';

export interface PeersOptions {
  /** This instance's name, as others dial it. */
  readonly self: string;
  /** The cluster's, at least 16 bytes. */
  readonly secret: Uint8Array;
  /** Throws for a name that is no peer. */
  readonly addressOf: (peer: string) => Address;
  /** For a connection with its handshake, and for each request. */
  readonly timeoutMs: number;
  /** In flight with one peer, each way. */
  readonly requestsMax: number;
  readonly serve: Serve;
  /** Of bugs in `serve`, and of links that were refused. */
  readonly report?: (error: unknown) => void;
}

export interface Peers {
  /**
   * One message, one answer. JSON text of at most 8 MiB each. When the signal ends, with a CardumeError as its reason,
   * that is thrown, and the peer is told to stop.
   * @throws CardumeError what the peer's `serve` threw; `partition-unavailable`, `unknown-outcome`, `overloaded`,
   *   `body-too-large`, `draining`
   */
  request(peer: string, message: Json, signal?: AbortSignal): Promise<Json>;
  /** Items until the peer ends them or the signal does (without an error). The peer runs at most 64 items ahead. */
  stream(peer: string, message: Json, signal: AbortSignal): AsyncIterable<Json>;
  /** @returns the address, with the port that was chosen */
  listen(address: Address): Promise<Address>;
  state(): readonly PeerState[];
  /** Lets requests that are being served finish (within the time-out), fails those in flight, ends all links. */
  close(): Promise<void>;
}

export interface PeerState {
  readonly peer: string;
  readonly link: 'idle' | 'connecting' | 'open' | 'waiting';
  readonly requests: number;
  readonly streams: number;
}

const PAUSE_MS_MIN = 50;
/** A region that comes back is reached soon; one attempt stands for all who wait. */
const PAUSE_MS_MAX = 2_000;
/** Connections that have not proven themselves yet. */
const STRANGERS_MAX = 64;

interface Peer {
  readonly name: string;
  asker: Asker | null;
  connecting: Promise<Asker> | null;
  /** Requests that wait for the connection. */
  waiting: number;
  failures: number;
  /** Monotonic; no attempt before it. */
  retryAtMs: number;
  lastFailure: string;
}

export function openPeers(host: Host, options: PeersOptions): Peers {
  const { addressOf, timeoutMs, requestsMax, serve, report = () => {} } = options;
  const { clock } = host;
  assert(options.secret.length >= 16, 'the cluster secret has at least 16 bytes');
  const peers = new Map<string, Peer>();
  /** Also those of links whose peer is leaving, until they have their answers. */
  const askers = new Set<Asker>();
  const answerers = new Set<Answerer>();
  const strangers = new Set<Connection>();
  let listener: Listener | null = null;
  let closed = false;
  let ended = (): void => {};

  function peerOf(name: string): Peer {
    let peer = peers.get(name);
    if (peer === undefined) {
      addressOf(name);
      peer = { name, asker: null, connecting: null, waiting: 0, failures: 0, retryAtMs: 0, lastFailure: '' };
      peers.set(name, peer);
    }
    return peer;
  }

  async function connected(peer: Peer): Promise<Asker> {
    if (closed) throw new CardumeError('draining', 'the instance is shutting down');
    if (peer.connecting === null) {
      const pauseMs = peer.retryAtMs - clock.monotonicMs();
      if (pauseMs > 0) throw unavailable(peer, Math.ceil(pauseMs / 1000));
      peer.connecting = connect(peer).finally(() => {
        peer.connecting = null;
      });
    }
    if (peer.waiting >= requestsMax) {
      throw new CardumeError('overloaded', `${requestsMax} requests wait for the link to '${peer.name}'`);
    }
    peer.waiting += 1;
    try {
      return await peer.connecting;
    } finally {
      peer.waiting -= 1;
    }
  }

  async function connect(peer: Peer): Promise<Asker> {
    let connection: Connection | null = null;
    try {
      const startMs = clock.monotonicMs();
      connection = await host.network.connect(addressOf(peer.name), timeoutMs);
      const channel = openChannel(clock, connection, HANDSHAKE_BYTES_MAX);
      await dial(host, channel, options, peer.name, Math.max(1, timeoutMs - (clock.monotonicMs() - startMs)));
      if (closed) throw new CardumeError('draining', 'the instance is shutting down');
      if (channel.closed)
        throw new CardumeError('partition-unavailable', 'the connection ended in the handshake');
      const asker = openAsker(clock, channel, { peer: peer.name, timeoutMs, requestsMax }, () => {
        askers.delete(asker);
        if (peer.asker === asker) peer.asker = null;
      });
      askers.add(asker);
      peer.asker = asker;
      peer.failures = 0;
      return asker;
    } catch (error) {
      connection?.close();
      if (!(error instanceof CardumeError)) throw error;
      const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** peer.failures);
      peer.failures += 1;
      // Half of it is chance, so that instances that lost a peer together do not come back together.
      peer.retryAtMs = clock.monotonicMs() + pauseMs * (0.5 + 0.5 * host.random.fraction());
      peer.lastFailure = error.message;
      throw error.code === 'draining' ? error : unavailable(peer, Math.ceil(pauseMs / 1000), error);
    }
  }

  function unavailable(peer: Peer, retryAfterS: number, cause?: CardumeError): CardumeError {
    const detail = `'${peer.name}' cannot be reached: ${peer.lastFailure}`;
    return new CardumeError('partition-unavailable', detail, { retryAfterS, cause });
  }

  function accepted(connection: Connection): void {
    if (closed || strangers.size >= STRANGERS_MAX) {
      connection.close();
      return;
    }
    strangers.add(connection);
    const channel = openChannel(clock, connection, HANDSHAKE_BYTES_MAX);
    const proven = (peer: string): void => {
      if (closed) {
        channel.close('the instance is shutting down');
        return;
      }
      const answerer = openAnswerer(clock, channel, { peer, timeoutMs, requestsMax, serve, report }, () => {
        answerers.delete(answerer);
        ended();
      });
      answerers.add(answerer);
      const back = peers.get(peer);
      if (back !== undefined) Object.assign(back, { failures: 0, retryAtMs: 0 });
    };
    accept(host, channel, options, timeoutMs, proven)
      .catch(report)
      .finally(() => strangers.delete(connection));
  }

  async function* stream(
    name: string,
    text: string,
    signal: AbortSignal,
  ): AsyncGenerator<Json, void, undefined> {
    if (signal.aborted) return;
    const peer = peerOf(name);
    const asker = peer.asker?.usable ? peer.asker : await connected(peer);
    yield* asker.stream(text, signal);
  }

  return {
    request(name, message, signal) {
      try {
        const peer = peerOf(name);
        const text = JSON.stringify(message);
        if (peer.asker?.usable) return peer.asker.request(text, signal);
        return connected(peer).then((asker) => asker.request(text, signal));
      } catch (error) {
        return Promise.reject(error);
      }
    },
    stream: (name, message, signal) => stream(name, JSON.stringify(message), signal),
    async listen(address) {
      listener = await host.network.listen(address, accepted);
      return listener.address;
    },
    state: () =>
      [...peers.values()].map((peer) => ({
        peer: peer.name,
        link: linkState(peer, clock.monotonicMs()),
        requests: (peer.asker?.requests ?? 0) + peer.waiting,
        streams: peer.asker?.streams ?? 0,
      })),
    async close() {
      closed = true;
      for (const asker of askers) asker.close('the instance is shutting down');
      for (const connection of strangers) connection.close();
      for (const answerer of answerers) answerer.leave();
      if (answerers.size > 0) {
        await new Promise<void>((resolve) => {
          const deadline = clock.after(timeoutMs, resolve);
          ended = () => {
            if (answerers.size > 0) return;
            deadline.cancel();
            resolve();
          };
        });
      }
      for (const answerer of answerers) answerer.close('the instance is shutting down');
      await listener?.close();
    },
  };
}

function linkState(peer: Peer, nowMs: number): PeerState['link'] {
  if (peer.asker !== null) return 'open';
  if (peer.connecting !== null) return 'connecting';
  return peer.retryAtMs > nowMs ? 'waiting' : 'idle';
}
