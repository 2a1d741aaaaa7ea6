import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import config from '../../../cardume.config.ts';
import { isCardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import { realHost } from '../host/real.ts';
import { staticPlacement } from '../topology/placement.ts';
import type { Serve } from './answerer.ts';
import { openPeers } from './peer.ts';
import { openRouter } from './router.ts';

describe('a router', () => {
  it('calls what is at home here and asks the home of everything else', async () => {
    const host = realHost();
    const placement = staticPlacement(config);
    const ports = new Map<string, number>();
    const open = (self: string) => {
      const serve: Serve = (from, message) =>
        message === 'items' ? items(from) : Promise.resolve({ from, at: self });
      async function* items(from: string): AsyncGenerator<Json> {
        yield `${self} for ${from}`;
      }
      const peers = openPeers(host, {
        self,
        secret: new Uint8Array(16),
        addressOf: (name) => ({ host: '127.0.0.1', port: ports.get(name) as number }),
        timeoutMs: 2_000,
        requestsMax: 10,
        serve,
      });
      return { peers, router: openRouter({ here: self, placement, peers, serve }) };
    };
    const [east, west] = [open('us-east'), open('us-west')];
    ports.set('us-west', (await west.peers.listen({ host: '127.0.0.1', port: 0 })).port);

    const [near, far] = [1, 2].map((scope) => ({ service: 'orders', scope, partition: 0 }));
    assert.ok(near !== undefined && far !== undefined);
    assert.deepEqual(await east.router.route(near, 'm'), { from: 'us-east', at: 'us-east' });
    assert.deepEqual(east.peers.state(), []);
    assert.deepEqual(await east.router.route(far, 'm'), { from: 'us-east', at: 'us-west' });
    const { signal } = new AbortController();
    for (const [partition, expected] of [
      [near, 'us-east for us-east'],
      [far, 'us-west for us-east'],
    ] as const) {
      const found: Json[] = [];
      for await (const item of east.router.routeStream(partition, 'items', signal)) found.push(item);
      assert.deepEqual(found, [expected]);
    }
    await assert.rejects(east.router.route({ ...far, scope: 9 }, 'm'), (error) =>
      isCardumeError(error, 'not-found'),
    );
    await Promise.all([east.peers.close(), west.peers.close()]);
  });
});
