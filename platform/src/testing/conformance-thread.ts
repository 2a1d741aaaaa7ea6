/** The thread that the conformance suite of hosts spawns. */
import type { Host } from '../host/host.ts';
import type { Port } from '../host/threads.ts';

export type ThreadTask =
  /** Says what it was given, then returns each message as it came. */
  | { readonly task: 'echo'; readonly greeting: string }
  /** Sends the numbers below `count`, then fails. */
  | { readonly task: 'count and throw'; readonly count: number }
  | { readonly task: 'throw at a message' }
  /** Returns at once, listening to nothing. */
  | { readonly task: 'return' }
  /** Sends random bytes, and the monotonic clock: now, and how far it went in a sleep. */
  | { readonly task: 'use the host' };

export async function serve(host: Host, port: Port, init: ThreadTask): Promise<void> {
  switch (init.task) {
    case 'echo':
      port.onMessage((message) => port.post(message));
      port.post(init.greeting);
      return;
    case 'count and throw':
      for (let i = 0; i < init.count; i += 1) port.post(i);
      throw new Error(`counted to ${init.count}`);
    case 'throw at a message':
      port.onMessage((message) => {
        throw new Error(`refused ${String(message)}`);
      });
      return;
    case 'return':
      return;
    case 'use the host': {
      const beforeMs = host.clock.monotonicMs();
      await host.clock.sleep(5);
      const nowMs = host.clock.monotonicMs();
      port.post({ random: host.random.bytes(16), nowMs, sleptMs: nowMs - beforeMs });
    }
  }
}
