import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import { type Operation, operation } from './operation.ts';
import { routesOf } from './route.ts';

function made(changes: Partial<Operation>): Operation {
  return {
    ...operation({
      id: 'orders.get',
      method: 'GET',
      path: '/orders/{id}',
      summary: 'One order',
      access: 'anyone',
      params: Type.Object({ id: Type.String() }),
      replies: { 200: null },
      handle: async () => ({ status: 200 }),
    }),
    ...changes,
  };
}

const mistakes: readonly (readonly [RegExp, readonly Operation[]])[] = [
  [/two operations are 'orders.get'/, [made({}), made({ path: '/other/{id}' })]],
  [
    /two operations are 'GET \/orders\/{}'/,
    [
      made({}),
      made({ id: 'orders.see', path: '/orders/{key}', params: Type.Object({ key: Type.String() }) }),
    ],
  ],
  [/params are \[id\], the path has \[\]/, [made({ path: '/orders' })]],
  [/params are \[\], the path has \[id\]/, [made({ params: Type.Object({}) })]],
  [/is not a path/, [made({ path: '/orders/:id' })]],
  [/is not a path/, [made({ path: 'orders/{id}' })]],
  [/its id does not match/, [made({ id: 'get an order' })]],
  [/its id does not match/, [made({ id: 'x'.repeat(33) })]],
  [/GET takes no body/, [made({ body: Type.Object({}) })]],
];
for (const [message, operations] of mistakes) {
  test(String(message), () => assert.throws(() => routesOf([{ name: 'orders', operations }]), message));
}

test('the same path may have several methods', () => {
  const routes = routesOf([
    { name: 'orders', operations: [made({}), made({ id: 'orders.drop', method: 'DELETE' })] },
  ]);
  assert.deepEqual(
    routes.map((route) => [route.service, route.operation.id]),
    [
      ['orders', 'orders.get'],
      ['orders', 'orders.drop'],
    ],
  );
});
