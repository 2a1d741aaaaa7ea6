/**
 * Free ports of this machine for a drill. They are taken below the range from which the system gives ports to
 * connections (32,768 and up on Linux): a port whose process is down for some seconds must not be another's meanwhile.
 */
import type { Host } from 'cardume/host';
import { Failure } from '../failure.ts';

const PORT_MIN = 12_000;
const PORT_MAX = 32_000;
const TRIES_MAX = 200;

/** Neighbours. @throws Failure when none are found */
export async function freePorts({ network, random }: Host, count: number): Promise<readonly number[]> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const first = PORT_MIN + Math.floor(random.fraction() * (PORT_MAX - PORT_MIN - count));
    const ports = Array.from({ length: count }, (_, i) => first + i);
    const free = await Promise.all(
      ports.map((port) =>
        network
          .listen({ host: '127.0.0.1', port }, (connection) => connection.close())
          .then(
            (listener) => listener.close().then(() => true),
            () => false,
          ),
      ),
    );
    if (free.every(Boolean)) return ports;
  }
  throw new Failure(
    `There are no ${count} free ports in a row between ${PORT_MIN} and ${PORT_MAX} on this machine.`,
    'Name the first of them with --port.',
  );
}
