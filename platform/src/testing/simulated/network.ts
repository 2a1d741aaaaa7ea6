/**
 * Connections between simulated machines: byte streams in order, as TCP gives them. Each pair of machines has a
 * latency of its own; what is written arrives cut and joined anew, as the seed decides, so that no reader can take
 * one write for one message. A write answers false while 64 KiB or more are on the way, and the sender is told
 * when all has arrived.
 *
 * A partition holds everything back, both data and the news that a connection has ended, until it heals; a connection
 * attempt is repeated each second, as TCP does, until its timeout. `disconnect` breaks connections in the middle: what
 * was on the way is lost and both sides are told. Bandwidth and lost packets are not modelled: TCP hides both behind
 * latency. There is one space of addresses: two machines cannot listen on the same host and port.
 */
import { CardumeError } from '../../base/errors.ts';
import type { Address, Connection, Listener, Network } from '../../host/network.ts';
import { delayUs, End, Pipe, type Way } from './connection.ts';
import type { Kernel } from './kernel.ts';
import type { Life } from './life.ts';

export interface SimulatedNetwork {
  view(machine: string, life: () => Life): Network;
  /** No new connection reaches the life: its addresses are free. */
  forget(life: Life): void;
  /** Nothing passes between the two; or nothing `from` the first `to` the second, when only that way is cut. */
  partition(from: string, to: string, ways?: 'both' | 'one'): void;
  /** Ends the partitions between the two, or all of them. */
  heal(a?: string, b?: string): void;
  /** Ends the partition of one way. */
  healWay(from: string, to: string): void;
  /** Breaks the connections between the two. @returns how many */
  disconnect(a: string, b: string): number;
  /** One way, between the two, from now on; without it 0.2 to 2 ms as the seed decides. */
  latency(a: string, b: string, latencyMs: number): void;
}

const RETRY_US = 1_000_000;
const EPHEMERAL_PORT_MIN = 40_000;

interface Listening {
  readonly machine: string;
  readonly life: Life;
  readonly accept: (connection: Connection) => void;
  readonly ends: Set<End>;
}

export function simulatedNetwork(kernel: Kernel): SimulatedNetwork {
  const ways = new Map<string, Way>();
  const listening = new Map<string, Listening>();
  const connections = new Set<readonly [End, End]>();
  let ephemeralPort = EPHEMERAL_PORT_MIN;

  function wayOf(from: string, to: string): Way {
    const name = `${from} -> ${to}`;
    let way = ways.get(name);
    if (way === undefined) {
      const pair = kernel.stream(`network/${[from, to].sort().join(' - ')}`);
      const latencyUs = from === to ? 30 : 200 + pair.below(1_800);
      way = { name, stream: kernel.stream(`network/${name}`), latencyUs, cut: false, waiting: new Set() };
      ways.set(name, way);
    }
    return way;
  }

  function healWay(way: Way): void {
    way.cut = false;
    for (const pipe of way.waiting) pipe.schedule();
    way.waiting.clear();
  }

  const find = ({ host, port }: Address): Listening | undefined =>
    listening.get(`${host}:${port}`) ?? listening.get(`0.0.0.0:${port}`);

  /** Both ends of a new connection; the listener's code has the first. */
  function pair(server: Listening, clientLife: Life, client: string): readonly [End, End] {
    const there = new Pipe(
      kernel,
      wayOf(client, server.machine),
      () => clientEnd,
      () => serverEnd,
    );
    const back = new Pipe(
      kernel,
      wayOf(server.machine, client),
      () => serverEnd,
      () => clientEnd,
    );
    const open = new Set<End>();
    const onEnd = (end: End): void => {
      open.delete(end);
      server.ends.delete(end);
      if (open.size === 0) connections.delete(both);
    };
    const serverEnd = new End(server.life, server.machine, back, there, onEnd);
    const clientEnd = new End(clientLife, client, there, back, onEnd);
    const both = [serverEnd, clientEnd] as const;
    open.add(serverEnd).add(clientEnd);
    server.ends.add(serverEnd);
    connections.add(both);
    return both;
  }

  function connect(machine: string, life: Life, address: Address, timeoutMs: number): Promise<Connection> {
    const { host, port } = address;
    const name = `${machine} -> ${host}:${port}`;
    return new Promise((resolve, reject) => {
      let over = false;
      const fail = (why: string): void => {
        over = true;
        timeout.cancel();
        reject(new CardumeError('partition-unavailable', `${host}:${port} ${why}`));
      };
      const timeout = life.later(timeoutMs * 1000, 'connect timeout', name, () =>
        fail(`did not answer within ${timeoutMs} ms`),
      );
      const attempt = (): void => {
        const there = wayOf(machine, find(address)?.machine ?? machine);
        const back = wayOf(find(address)?.machine ?? machine, machine);
        kernel.at(delayUs(there), 'connect', name, () => {
          if (over || life.ended) return;
          if (there.cut || back.cut) {
            life.later(RETRY_US, 'connect again', name, attempt);
            return;
          }
          const server = find(address);
          if (server === undefined) {
            life.later(delayUs(back), 'refused', name, () => fail('cannot be reached (ECONNREFUSED)'));
            return;
          }
          const [serverEnd, clientEnd] = pair(server, life, machine);
          life.later(delayUs(back), 'connected', name, () => {
            if (over) {
              clientEnd.close();
              return;
            }
            over = true;
            timeout.cancel();
            resolve(clientEnd);
          });
          server.life.call(() => server.accept(serverEnd));
        });
      };
      attempt();
    });
  }

  function listen(
    machine: string,
    life: Life,
    address: Address,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const port = address.port === 0 ? ephemeralPort++ : address.port;
    const name = `${address.host}:${port}`;
    return life.outcome(50, 'listen', `${machine} ${name}`, () => {
      if (listening.has(name)) {
        const text = `listen EADDRINUSE: address already in use ${name}`;
        throw Object.assign(new Error(text), { code: 'EADDRINUSE' });
      }
      const server: Listening = { machine, life, accept, ends: new Set() };
      listening.set(name, server);
      const forget = life.onEnd(() => {
        if (listening.get(name) === server) listening.delete(name);
      });
      return {
        address: { host: address.host, port },
        close() {
          if (listening.get(name) === server) listening.delete(name);
          forget();
          for (const end of server.ends) end.close();
          return life.outcome(50, 'stop listening', `${machine} ${name}`, () => undefined);
        },
      };
    });
  }

  return {
    view: (machine, life) => ({
      listen: (address, accept) => listen(machine, life(), address, accept),
      connect: (address, timeoutMs) => connect(machine, life(), address, timeoutMs),
    }),
    forget(life) {
      for (const [name, server] of listening) if (server.life === life) listening.delete(name);
    },
    partition(from, to, direction = 'both') {
      wayOf(from, to).cut = true;
      if (direction === 'both') wayOf(to, from).cut = true;
    },
    heal(a, b) {
      if (a !== undefined && b !== undefined) {
        healWay(wayOf(a, b));
        healWay(wayOf(b, a));
      } else for (const way of ways.values()) healWay(way);
    },
    healWay: (from, to) => healWay(wayOf(from, to)),
    disconnect(a, b) {
      let broken = 0;
      for (const [left, right] of [...connections]) {
        const apart = left.machine === a ? right.machine === b : left.machine === b && right.machine === a;
        if (!apart) continue;
        left.reset();
        right.reset();
        broken += 1;
      }
      return broken;
    },
    latency(a, b, latencyMs) {
      for (const way of [wayOf(a, b), wayOf(b, a)]) way.latencyUs = latencyMs * 1000;
    },
  };
}
