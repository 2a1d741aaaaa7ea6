/** What a follower tells its home of its copies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../base/json.ts';
import { EMPTY_CHECKSUM } from '../../events/checksum.ts';
import { realHost } from '../../host/real.ts';
import { openFollower } from './follower.ts';
import type { AckRequest } from './source.ts';

const { clock } = realHost();

test('a home that has forgotten how far a copy is hears it again, though nothing new has come', async () => {
  const told: AckRequest['at'][] = [];
  const head = { partition: 1, epoch: 1, lastEpoch: 1, position: 9, checksum: EMPTY_CHECKSUM };
  const { promise: again, resolve: hasToldAgain } = Promise.withResolvers<void>();
  const follower = openFollower({
    clock,
    home: 'there',
    link: {
      async *replicate(_, signal) {
        // What begins a session is a parcel without pages: the home knows how far the copies are from the request.
        yield { pages: '', diverged: [], gone: [], came: [] } as unknown as Json;
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      },
      async ack({ at }) {
        told.push(at);
        if (at.length > 0) hasToldAgain();
        return (at.length > 0 ? [] : [['orders', 1, 9]]) as unknown as Json;
      },
    },
    newSession: () => 'here/1',
    wanted: () => [['orders', 1]],
    mayOpen: () => true,
    shardOf: () => ({
      moving: {
        copy: async () => [],
        putKeys: async () => undefined,
        putCheckpoints: async () => undefined,
      },
    }),
    checkpointsOf: async () => [],
    takeUp: async () => head,
    diverged: async () => assert.fail('it is the same history'),
    fenced: async () => assert.fail('it is the same home'),
    report: (message) => assert.fail(message),
  });
  await again;
  await follower.close();
  assert.deepEqual(
    told.filter((at) => at.length > 0),
    [[['orders', 1, 9]]],
  );
});
