import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import { parseId } from '../base/id.ts';
import type { Bus } from '../cqrs/bus.ts';
import { realHost } from '../host/real.ts';
import type { Call } from './call.ts';
import { openExecution } from './execution.ts';
import { geography, HOME } from './gateway.fixture.ts';
import { type Operation, type OperationContext, operation } from './operation.ts';
import { type Route, routesOf } from './route.ts';

const host = realHost();
const ground = {
  host,
  bus: {} as Bus,
  geography,
  ports: { clockmaker: { name: 'Ada' } },
  secret: new Uint8Array(32).fill(1),
};
const call: Call = {
  operation: 'things.ask',
  params: {},
  search: {},
  body: { a: 1 },
  principal: { id: 'usr_1', role: 'customer' },
  key: null,
  requestId: 'r-1',
  trace: 't-1',
  traceState: '',
  ifVersion: null,
  lastEventId: null,
  receivedIn: 'norte',
};

function asking(handle: Operation['handle']): Route {
  const ask = operation({
    id: 'things.ask',
    method: 'POST',
    path: '/things',
    summary: 'Asks',
    access: 'anyone',
    body: Type.Object({ a: Type.Number() }),
    replies: { 200: null },
    handle,
  });
  return routesOf([{ name: 'things', operations: [ask] }])[0] as Route;
}

test('a handler may take its context apart, and is told what the call says', async () => {
  let seen: unknown[] = [];
  const route = asking(async ({ body }, context) => {
    const { newId, digest, secretDigest, port, principal, ifVersion, requestId, trace } = context;
    const id = newId('ord', HOME);
    seen = [body, principal.id, ifVersion, requestId, trace, context.geography.here];
    assert.deepEqual(parseId(id, 'ord'), { type: 'ord', ...HOME });
    assert.notEqual(id, newId('ord', HOME));
    assert.equal(digest('a').length, 32);
    assert.equal(secretDigest('a').length, 32);
    assert.notDeepEqual(digest('a'), secretDigest('a'));
    assert.equal(port<{ name: string }>('clockmaker').name, 'Ada');
    assert.throws(() => port('toString'), /no port 'toString'/);
    return { status: 200 };
  });
  await openExecution([route], ground).execute(call);
  assert.deepEqual(seen, [{ a: 1 }, 'usr_1', undefined, 'r-1', 't-1', 'norte']);
});

test('the secret decides what a secret digest is', async () => {
  const digests: string[] = [];
  const route = asking(async (_input, { secretDigest }) => {
    digests.push(secretDigest('ana@example.com').toHex());
    return { status: 200 };
  });
  await openExecution([route], ground).execute(call);
  await openExecution([route], { ...ground, secret: new Uint8Array(32).fill(2) }).execute(call);
  assert.notEqual(digests[0], digests[1]);
});

test('geography answers as everywhere, only `here` is where the request arrived', async () => {
  let context: OperationContext | undefined;
  const route = asking(async (_input, given) => {
    context = given;
    return { status: 200 };
  });
  await openExecution([route], ground).execute(call);
  assert.equal(context?.geography.here, 'norte');
  assert.equal(context?.geography.regionOfPlace('things', HOME), 'sul');
  assert.equal(geography.here, 'sul');
});

test('a signal is made when it is asked for, once', async () => {
  const listeners: (() => void)[] = [];
  let context: OperationContext | undefined;
  const route = asking(async (_input, given) => {
    context = given;
    return { status: 200 };
  });
  await openExecution([route], ground).run(route, call, (listener) => void listeners.push(listener));
  assert.equal(listeners.length, 0);
  assert.equal(context?.signal, context?.signal);
  assert.equal(listeners.length, 1);
  listeners[0]?.();
  assert.equal(context?.signal.aborted, true);
});
