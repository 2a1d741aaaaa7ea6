import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CardumeError } from '../base/errors.ts';
import type { Shard } from '../cqrs/shard.ts';
import { unbounded } from '../sharding/deadline.ts';
import type { Plan } from '../sharding/plan.ts';
import { simulatedHost } from '../testing/simulated/host.ts';
import { hostedShards } from './hosted.ts';

test('a scan that began while a partition moved is made again, also when the move is over by then', async () => {
  const host = simulatedHost({ seed: 1 });
  const hosted = hostedShards(host.clock);
  let open: () => void = () => undefined;
  const before = {
    async scan() {
      hosted.route('orders', 7, 'new');
      open();
      throw new CardumeError('partition-unavailable', 'partition 7 is not open here');
    },
  };
  const now = { scan: async () => [['row']] };
  hosted.add('orders', 'old', before as unknown as Shard);
  hosted.add('orders', 'new', now as unknown as Shard);
  hosted.route('orders', 7, 'old');
  open = hosted.hold('orders', 7);
  const scan = hosted.scan('orders', { partitions: null } as Plan, unbounded);
  await host.advance(100);
  assert.deepEqual(await scan, [[['row']]]);
  host.close();
});
