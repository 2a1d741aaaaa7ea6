/** The simulation's HTTP: the same routes and pipeline, over connections that may be lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import { operation } from '../../gateway/operation.ts';
import type { Pipeline } from '../../gateway/pipeline.ts';
import { routesOf } from '../../gateway/route.ts';
import { openTelemetry } from '../../telemetry/telemetry.ts';
import { simulation } from './host.ts';
import { NoAnswer, simulatedClient, simulatedHttp } from './http.ts';

const slow = operation({
  id: 'things.get',
  method: 'GET',
  path: '/things/{id}',
  summary: 'A thing',
  access: 'anyone',
  params: Type.Object({ id: Type.String() }),
  replies: { 200: Type.Object({ id: Type.String() }) },
  handle: async () => ({ status: 200 }),
});

async function world(answerMs: number) {
  const sim = simulation({ seed: 1 });
  const [server, client] = [sim.machine('server'), sim.machine('client')];
  const asked: string[] = [];
  const pipeline: Pipeline = {
    async answer(_route, { params, search, headers }) {
      asked.push(String(params['id']));
      await server.clock.sleep(answerMs);
      const body = JSON.stringify({ id: params['id'], ...search, key: headers['idempotency-key'] });
      return { status: 200, headers: ['etag', '"3"'], body, events: null };
    },
    refuse: (_headers, _address, error) => {
      return {
        status: 503,
        headers: [],
        body: JSON.stringify({ detail: (error as Error).message }),
        events: null,
      };
    },
  };
  const { log, metrics } = openTelemetry(server, 'here');
  const bounds = { bodyBytesMax: 1_000, requestTimeoutMs: 500, drainTimeoutMs: 1_000, subscribersMax: 1 };
  const http = await simulatedHttp(server)({
    host: server,
    bounds,
    routes: routesOf([{ name: 'things', operations: [slow] }]),
    pipeline,
    metrics,
    log,
    trustedProxies: new Set(),
    pages: new Map([['/health/live', () => ({ status: 200, contentType: 'text/plain', body: 'alive' })]]),
  });
  const address = await sim.run(http.listen({ host: '10.0.0.1', port: 80 }));
  const ask = (path: string, timeoutMs = 2_000) =>
    simulatedClient(client).ask(
      address,
      { method: 'GET', path, headers: { 'idempotency-key': 'k' } },
      timeoutMs,
    );
  return { sim, http, ask, asked };
}

test('a request reaches its route, with parameters, query and headers; pages are served', async () => {
  const { sim, ask } = await world(5);
  const reply = await sim.run(ask('/things/a%20b?more=1'));
  assert.deepEqual(reply, {
    status: 200,
    headers: { etag: '"3"' },
    body: { id: 'a b', more: '1', key: 'k' },
  });
  assert.equal((await sim.run(ask('/health/live'))).body, 'alive');
  assert.equal((await sim.run(ask('/nothing'))).status, 503);
  sim.close();
});

test('what takes too long is answered for, and what is lost is told as what it is', async () => {
  const { sim, ask, asked } = await world(700);
  assert.match(String((await sim.run(ask('/things/late'))).body.detail), /too long/);
  const cut = ask('/things/cut');
  await sim.advance(50);
  assert.equal(sim.links.disconnect('client', 'server'), 2);
  await sim.run(assert.rejects(cut, (error) => error instanceof NoAnswer && error.mayHaveHappened));
  sim.links.partition('client', 'server');
  await sim.run(assert.rejects(ask('/things/never', 300), (error) => error instanceof NoAnswer));
  assert.equal(asked.includes('never'), false);
  sim.close();
});

test('a drain lets what is under way finish', async () => {
  const { sim, http, ask } = await world(100);
  const answer = ask('/things/last');
  await sim.advance(20);
  await sim.run(http.drain());
  assert.equal((await sim.run(answer)).body.id, 'last');
  await sim.run(
    assert.rejects(ask('/things/after'), (error) => error instanceof NoAnswer && !error.mayHaveHappened),
  );
  sim.close();
});
