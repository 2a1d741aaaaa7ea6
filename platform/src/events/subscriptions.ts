/** Who follows which partition of a log. */
import { CardumeError } from '../base/errors.ts';
import type { Reader } from './engine.ts';
import type { Entry, Head, PartitionKey } from './log.ts';
import { openSubscription, type Subscription } from './subscription.ts';
import { decodeToken } from './token.ts';

export interface Subscriptions {
  subscribe(partition: PartitionKey, after: string | null): AsyncIterable<Entry>;
  any(): boolean;
  announce(entries: readonly Entry[]): void;
  end(partition: PartitionKey, error: CardumeError): void;
  endAll(): void;
}

export function openSubscriptions(
  reader: Reader,
  headOf: (partition: PartitionKey) => Head | undefined,
): Subscriptions {
  const open = new Map<PartitionKey, Set<Subscription>>();

  async function startOf(partition: PartitionKey, after: string | null): Promise<number> {
    if (headOf(partition) === undefined) {
      throw new CardumeError('partition-unavailable', `partition ${partition} is not open here`);
    }
    if (after === null) return 0;
    const token = decodeToken(after);
    const known = token.position === 0 || (await reader.epochAt(partition, token.position)) === token.epoch;
    if (token.partition === partition && known) return token.position;
    throw new CardumeError('invalid-cursor', `'${after}' names no entry of this log`);
  }

  function begin(partition: PartitionKey, after: string | null): Subscription {
    let announced = 0;
    const subscription = openSubscription({
      start: () => startOf(partition, after),
      announced() {
        announced = headOf(partition)?.position ?? announced; // it may have gone since
        return announced;
      },
      read: (position, entriesMax) => reader.readPartition(partition, position, entriesMax),
      onEnd() {
        const own = open.get(partition);
        own?.delete(subscription);
        if (own?.size === 0) open.delete(partition);
      },
    });
    open.set(partition, (open.get(partition) ?? new Set()).add(subscription));
    return subscription;
  }

  return {
    subscribe: (partition, after) => ({ [Symbol.asyncIterator]: () => begin(partition, after) }),
    any: () => open.size > 0,
    announce(entries) {
      for (const [partition, own] of Map.groupBy(entries, (entry) => entry.partition)) {
        for (const subscription of open.get(partition) ?? []) subscription.announce(own);
      }
    },
    end(partition, error) {
      for (const subscription of [...(open.get(partition) ?? [])]) subscription.end(error);
    },
    endAll() {
      for (const own of [...open.values()]) for (const subscription of [...own]) subscription.end(null);
    },
  };
}
