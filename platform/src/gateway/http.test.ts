import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type ErrorCode, errors } from '../base/errors.ts';
import type { Problem } from '../base/problem.ts';
import type { Call } from './call.ts';
import { ABROAD, HOME, openSample, PRODUCT_JSON } from './gateway.fixture.ts';

const sample = await openSample();
after(() => sample.gateway.close());
const { url, tokens } = sample;
const customer = { authorization: `Bearer ${tokens.issue({ id: 'usr_1', role: 'customer' }).token}` };
const staff = { authorization: `Bearer ${tokens.issue({ id: 'usr_2', role: 'staff' }).token}` };
const json = { 'content-type': 'application/json' };
const ORDER = JSON.stringify({ currency: 'GBP', lines: [{ sku: 'a', quantity: 1 }] });

interface Sent {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

function send(path: string, init: Sent = {}): Promise<Response> {
  return fetch(`${url}${path}`, init);
}

/** Every failure has this form, whoever found it. */
async function problemIn(response: Response, code: ErrorCode): Promise<Problem> {
  const problem = (await response.json()) as Problem;
  assert.equal(problem.code, code, JSON.stringify(problem));
  assert.equal(response.status, errors[code].status);
  assert.equal(response.headers.get('content-type'), 'application/problem+json');
  assert.equal(problem.status, response.status);
  assert.equal(problem.type, `/problems/${code}`);
  assert.equal(problem.title, errors[code].title);
  assert.equal(problem.instance, `urn:cardume:request:${response.headers.get('x-request-id')}`);
  return problem;
}

describe('a good request', () => {
  test('gets the operation’s own bytes, its version and its token', async () => {
    const response = await send('/products/1');
    assert.equal(response.status, 200);
    assert.equal(await response.text(), PRODUCT_JSON);
    const { headers } = response;
    assert.equal(headers.get('content-type'), 'application/json');
    assert.equal(headers.get('content-length'), String(PRODUCT_JSON.length));
    assert.equal(headers.get('etag'), '"7"');
    assert.equal(headers.get('cardume-token'), 'sample.1-1-7');
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('ratelimit-policy'), '"default";q=60000000;w=60');
    assert.match(headers.get('ratelimit') ?? '', /^"default";r=\d+;t=1$/);
  });

  test('HEAD has the headers of GET and no body', async () => {
    const response = await send('/products/1', { method: 'HEAD' });
    assert.deepEqual(
      [response.status, response.headers.get('content-length')],
      [200, String(PRODUCT_JSON.length)],
    );
    assert.equal(await response.text(), '');
  });

  test('is told 304 when the caller has this version', async () => {
    const response = await send('/products/1', { headers: { 'if-none-match': 'W/"7"' } });
    assert.deepEqual(
      [response.status, response.headers.get('etag'), await response.text()],
      [304, '"7"', ''],
    );
    assert.equal((await send('/products/1', { headers: { 'if-none-match': '"6"' } })).status, 200);
  });

  test('reads numbers, lists and defaults from the query', async () => {
    assert.deepEqual(await (await send('/products?tag=a&tag=b&sold=false')).json(), {
      limit: 20,
      tag: ['a', 'b'],
      sold: false,
    });
  });

  test('creates with headers of its own', async () => {
    const response = await send('/orders', {
      method: 'POST',
      headers: { ...json, ...customer },
      body: ORDER,
    });
    const { id, by } = (await response.json()) as { id: string; by: string };
    assert.deepEqual([response.status, by], [201, 'usr_1']);
    assert.equal(response.headers.get('location'), `/orders/${id}`);
    assert.equal(response.headers.get('etag'), '"1"');
  });

  test('204 has no body and no length', async () => {
    const response = await send('/orders/1', { method: 'DELETE', headers: staff });
    assert.deepEqual([response.status, response.headers.get('content-length')], [204, null]);
  });

  test('OPTIONS names the methods', async () => {
    const response = await send('/orders/1', { method: 'OPTIONS' });
    assert.deepEqual([response.status, response.headers.get('allow')], [204, 'DELETE, OPTIONS']);
  });

  test('an empty object where nothing is taken is nothing', async () => {
    const response = await send('/orders/busy/fail', { method: 'POST', headers: json, body: '{}' });
    assert.equal(response.status, 503);
  });
});

describe('identity of a request', () => {
  test('its id and trace are taken over', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const { headers } = await send('/products/1', { headers: { 'x-request-id': 'abc-1', traceparent } });
    assert.equal(headers.get('x-request-id'), 'abc-1');
    assert.match(
      headers.get('traceparent') ?? '',
      /^00-4bf92f3577b34da6a3ce929d0e0e4736-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$/,
    );
  });

  for (const bad of ['a b', 'x'.repeat(101), '<b>', '"', '../\u00e9']) {
    test(`an id such as ${JSON.stringify(bad.slice(0, 12))} is replaced`, async () => {
      const { headers } = await send('/products/1', { headers: { 'x-request-id': bad, traceparent: bad } });
      assert.match(headers.get('x-request-id') ?? '', /^[0-9a-f]{32}$/);
      assert.match(headers.get('traceparent') ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-03$/);
    });
  }
});

describe('a faulty request', () => {
  interface Case extends Sent {
    readonly what: string;
    readonly path: string;
    readonly code: ErrorCode;
    /** Pointers that the problem must name. */
    readonly pointers?: readonly string[];
  }
  const post = { method: 'POST', headers: { ...json, ...customer } };
  const cases: readonly Case[] = [
    { what: 'an unknown path', path: '/nothing', code: 'not-found' },
    { what: 'an unknown path with a broken body', path: '/nothing', ...post, body: '{', code: 'not-found' },
    { what: 'a slash too many', path: '/products/', code: 'not-found' },
    {
      what: 'a method that the path does not know',
      path: '/orders',
      method: 'PUT',
      code: 'method-not-allowed',
    },
    {
      what: 'the same with a broken body',
      path: '/orders',
      ...post,
      method: 'PATCH',
      body: '{',
      code: 'method-not-allowed',
    },
    {
      what: 'a method that hardly anyone knows',
      path: '/orders',
      method: 'PROPFIND',
      code: 'method-not-allowed',
    },
    { what: 'a faulty percent-encoding in the path', path: '/products/%zz', code: 'invalid-input' },
    { what: 'bytes in the path that are not UTF-8', path: '/products/%ff', code: 'invalid-input' },
    { what: 'a faulty percent-encoding in the query', path: '/products?tag=%f', code: 'invalid-input' },
    { what: 'bytes in the query that are not UTF-8', path: '/products?tag=%ff', code: 'invalid-input' },
    { what: 'a part of the path that is too long', path: `/products/${'x'.repeat(300)}`, code: 'not-found' },
    {
      what: 'a path parameter that does not fit',
      path: `/products/${'x'.repeat(41)}`,
      code: 'invalid-input',
      pointers: ['/params/id'],
    },
    {
      what: 'a number that is none',
      path: '/products?limit=ten',
      code: 'invalid-input',
      pointers: ['/search/limit'],
    },
    {
      what: 'a parameter given twice',
      path: '/products?limit=1&limit=2',
      code: 'invalid-input',
      pointers: ['/search/limit'],
    },
    {
      what: 'an unknown parameter',
      path: '/products?limti=1',
      code: 'invalid-input',
      pointers: ['/search/limti'],
    },
    {
      what: 'a parameter named like a prototype',
      path: '/products?__proto__=1',
      code: 'invalid-input',
      pointers: ['/search/__proto__'],
    },
    { what: 'no body', path: '/orders', ...post, code: 'invalid-input', pointers: ['/body'] },
    {
      what: 'no body and no type',
      path: '/orders',
      method: 'POST',
      headers: customer,
      code: 'invalid-input',
      pointers: ['/body'],
    },
    { what: 'broken JSON', path: '/orders', ...post, body: '{"currency":', code: 'bad-json' },
    {
      what: 'a body that is not UTF-8',
      path: '/orders',
      ...post,
      body: Uint8Array.of(0x22, 0xff, 0x22),
      code: 'bad-json',
    },
    {
      what: 'a body named UTF-8 that is Latin-1',
      path: '/orders',
      method: 'POST',
      headers: { ...customer, 'content-type': 'application/json; charset=utf-8' },
      body: Uint8Array.of(0x22, 0xe9, 0x22),
      code: 'bad-json',
    },
    {
      what: 'a prototype in the body',
      path: '/orders',
      ...post,
      body: '{"__proto__":{"role":"staff"}}',
      code: 'bad-json',
    },
    {
      what: 'form fields',
      path: '/orders',
      method: 'POST',
      headers: { ...customer, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'a=1',
      code: 'unsupported-media-type',
    },
    {
      what: 'plain text',
      path: '/orders',
      method: 'POST',
      headers: { ...customer, 'content-type': 'text/plain' },
      body: ORDER,
      code: 'unsupported-media-type',
    },
    {
      what: 'a type that is none',
      path: '/orders',
      method: 'POST',
      headers: { ...customer, 'content-type': 'json' },
      body: ORDER,
      code: 'unsupported-media-type',
    },
    {
      what: 'a compressed body',
      path: '/orders',
      method: 'POST',
      headers: { ...post.headers, 'content-encoding': 'gzip' },
      body: ORDER,
      code: 'unsupported-media-type',
    },
    {
      what: 'a body that is too large',
      path: '/orders',
      ...post,
      body: `{"note":"${'x'.repeat(20_000)}"}`,
      code: 'body-too-large',
    },
    {
      what: 'a body where none is taken',
      path: '/orders/1/fail',
      method: 'POST',
      headers: json,
      body: '{"a":1}',
      code: 'invalid-input',
      pointers: ['/body'],
    },
    {
      what: 'many faults at once',
      path: '/orders',
      ...post,
      body: JSON.stringify({ currency: 'BRL', lines: [{ sku: 'a', quantity: 0 }], nope: 1 }),
      code: 'invalid-input',
      pointers: ['/body/nope', '/body/currency', '/body/lines/0/quantity'],
    },
    { what: 'no token', path: '/orders', method: 'POST', headers: json, body: ORDER, code: 'token-required' },
    {
      what: 'no token and a faulty body: the token comes first',
      path: '/orders',
      method: 'POST',
      headers: json,
      body: '{}',
      code: 'token-required',
    },
    {
      what: 'a token that is none',
      path: '/products/1',
      headers: { authorization: 'Bearer abc' },
      code: 'invalid-token',
    },
    {
      what: 'another scheme',
      path: '/products/1',
      headers: { authorization: 'Basic YTpi' },
      code: 'invalid-token',
    },
    {
      what: 'a changed token',
      path: '/products/1',
      headers: { authorization: `${customer.authorization.slice(0, -3)}AAA` },
      code: 'invalid-token',
    },
    {
      what: 'a customer where staff is needed',
      path: '/orders/1',
      method: 'DELETE',
      headers: customer,
      code: 'forbidden',
    },
    {
      what: 'an idempotency key with a space',
      path: '/orders',
      method: 'POST',
      headers: { ...post.headers, 'idempotency-key': 'a b' },
      body: ORDER,
      code: 'invalid-input',
      pointers: ['/headers/idempotency-key'],
    },
    {
      what: 'a weak If-Match',
      path: '/orders/1',
      method: 'DELETE',
      headers: { ...staff, 'if-match': 'W/"1"' },
      code: 'invalid-input',
      pointers: ['/headers/if-match'],
    },
    { what: 'what the decider refuses', path: '/orders/x/fail', method: 'POST', code: 'insufficient-stock' },
    {
      what: 'a host that cannot be reached',
      path: '/orders/x/far',
      method: 'POST',
      code: 'partition-unavailable',
    },
  ];
  for (const { what, path, code, pointers, ...init } of cases) {
    test(`${what}: ${code}`, async () => {
      const before = sample.seen.length;
      const problem = await problemIn(await send(path, init), code);
      assert.equal(sample.seen.length, before, 'the operation ran');
      if (pointers !== undefined) {
        assert.deepEqual(problem.errors?.map(({ pointer }) => pointer).sort(), [...pointers].sort());
      }
    });
  }

  test('401 names the scheme, 405 the methods, 503 the wait', async () => {
    const [unnamed, unknown, put, busy] = await Promise.all([
      send('/orders', { method: 'POST', headers: json, body: ORDER }),
      send('/products/1', { headers: { authorization: 'Bearer a.b.c' } }),
      send('/products/1', { method: 'PUT' }),
      send('/orders/busy/fail', { method: 'POST' }),
    ]);
    assert.equal(unnamed.headers.get('www-authenticate'), 'Bearer');
    assert.equal(unknown.headers.get('www-authenticate'), 'Bearer error="invalid_token"');
    assert.equal(put.headers.get('allow'), 'GET, HEAD, OPTIONS');
    assert.equal(busy.headers.get('retry-after'), '7');
  });

  test('a bug tells the caller nothing but the request id, under which the log tells all but secrets', async () => {
    const response = await send('/orders/bug/fail', { method: 'POST', headers: { 'x-request-id': 'bug-1' } });
    const problem = await problemIn(response, 'internal');
    assert.ok(!JSON.stringify(problem).includes('hunter2'));
    const line = sample.lines.map((text) => JSON.parse(text)).find((entry) => entry.requestId === 'bug-1');
    assert.equal(line.level, 'error');
    assert.match(line.error.stack, /TypeError.*gateway\.fixture\.ts/s);
    assert.ok(!line.error.message.includes('a@b.example'));
  });
});

describe('an operation is given', () => {
  test('the principal, a scoped key with its fingerprint, the version of If-Match, a trace', async () => {
    const headers = {
      ...json,
      ...customer,
      'idempotency-key': 'k-1',
      'if-match': '"3"',
      'x-request-id': 'r-1',
    };
    await send('/orders', { method: 'POST', headers, body: ORDER });
    await send('/orders', {
      method: 'POST',
      headers: { ...headers, 'if-match': '*' },
      body: ORDER.replace(',', ' , '),
    });
    const [first, again] = sample.seen.slice(-2).map(({ context }) => context as Record<string, never>);
    assert.deepEqual(first?.['principal'], { id: 'usr_1', role: 'customer' });
    assert.match(
      (first?.['key'] as { text: string } | undefined)?.text ?? '',
      /^usr_1\|orders\.place\|[\w-]{43}$/,
    );
    assert.deepEqual(again?.['key'], first?.['key']);
    assert.equal(first?.['ifVersion'], 3);
    assert.equal(again?.['ifVersion'], undefined);
    assert.equal(first?.['requestId'], 'r-1');
    assert.match(first?.['trace'] ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-03$/);
  });
});

test('a call for another host is a plain message, and its answer comes back as if it were ours', async () => {
  const forwarded: [string, unknown, Call][] = [];
  const there = await openSample({ geography: { ...sample.options.geography, here: 'norte' } });
  const here = await openSample({
    async forward(service, place, call) {
      forwarded.push([service, place, call]);
      return JSON.parse(JSON.stringify(await there.gateway.execute(JSON.parse(JSON.stringify(call)))));
    },
  });
  try {
    const response = await fetch(`${here.url}/orders/9/far`, {
      method: 'POST',
      headers: { 'x-request-id': 'r-9' },
    });
    assert.deepEqual(await response.json(), { here: 'sul', requestId: 'r-9' });
    assert.deepEqual([forwarded[0]?.[0], forwarded[0]?.[1]], ['sample', ABROAD]);
    assert.deepEqual({ ...(forwarded[0]?.[2].params as object) }, { id: '9' });
    await fetch(`${here.url}/products/1`);
    assert.equal(forwarded.length, 1, `${JSON.stringify(HOME)} is at home here`);
  } finally {
    await Promise.all([here.gateway.close(), there.gateway.close()]);
  }
});

test('a call for an operation that is not here, and an event stream over a link, are refused', async () => {
  const call: Call = {
    operation: 'nothing',
    params: { id: 'short' },
    search: {},
    body: null,
    principal: { id: 'anonymous', role: 'anonymous' },
    key: null,
    requestId: 'r',
    trace: '',
    traceState: '',
    ifVersion: null,
    lastEventId: null,
    receivedIn: 'sul',
  };
  await assert.rejects(sample.gateway.execute(call), { code: 'not-found' });
  await assert.rejects(sample.gateway.execute({ ...call, operation: 'orders.watch' }), /cannot cross a link/);
});

test('over its rate a caller is told 429 and when to come back; another caller is not', async () => {
  const limited = await openSample({ bounds: { ...sample.options.bounds, requestsPerMinute: 3 } });
  try {
    const statuses: number[] = [];
    for (let i = 0; i < 3; i += 1) statuses.push((await fetch(`${limited.url}/products/1`)).status);
    // What reaches no operation counts as well.
    const refused = await fetch(`${limited.url}/nothing`);
    await problemIn(refused, 'too-many-requests');
    assert.deepEqual(statuses, [200, 200, 200]);
    assert.equal(refused.headers.get('retry-after'), '20');
    assert.equal(refused.headers.get('ratelimit'), '"default";r=0;t=60');
    const asOther = await fetch(`${limited.url}/products/1`, { headers: { 'x-forwarded-for': '192.0.2.7' } });
    assert.equal(asOther.status, 200);
    assert.equal((await fetch(`${limited.url}/health/live`)).status, 200);
  } finally {
    await limited.gateway.close();
  }
});

test('the deadline answers for an operation that does not, and its signal ends', async () => {
  const impatient = await openSample({ bounds: { ...sample.options.bounds, requestTimeoutMs: 100 } });
  try {
    await problemIn(await fetch(`${impatient.url}/orders/1/slow`, { method: 'POST' }), 'deadline-exceeded');
    const context = impatient.seen[0]?.context as { signal: AbortSignal } | undefined;
    assert.equal(context?.signal.aborted, true);
  } finally {
    await impatient.gateway.close();
  }
});

test('health, metrics and documents', async () => {
  const reasons: string[] = [];
  const watched = await openSample({ unready: async () => reasons });
  try {
    assert.deepEqual(await (await fetch(`${watched.url}/health/live`)).json(), { status: 'alive' });
    assert.equal((await fetch(`${watched.url}/health/ready`)).status, 200);
    reasons.push('the log of shard orders-1 is not open');
    const unready = await fetch(`${watched.url}/health/ready`);
    assert.deepEqual([unready.status, await unready.json()], [503, { status: 'not ready', reasons }]);
    await fetch(`${watched.url}/products/1`);
    await fetch(`${watched.url}/orders`, { method: 'POST', headers: { ...json }, body: '{' });
    const text = await (await fetch(`${watched.url}/metrics`)).text();
    assert.match(
      text,
      /http_requests_total{method="GET",route="\/products\/{id}",status_code="200",service="sample"} 1/,
    );
    assert.match(
      text,
      /http_requests_total{method="POST",route="\/orders",status_code="400",service="sample"} 1/,
    );
    assert.match(text, /active_connections{service="sample"} 0/);
    assert.match(text, /active_connections{service="gateway"} 1/);
    const page = await fetch(`${watched.url}/docs`);
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    assert.equal(
      (await fetch(`${watched.url}/openapi.json`)).headers.get('content-type'),
      'application/json',
    );
  } finally {
    await watched.gateway.close();
  }
});

test('a header that HTTP does not allow becomes an internal problem, not a dead connection', async () => {
  const [first] = sample.operations;
  const broken = await openSample({
    services: [
      {
        name: 'sample',
        operations: [
          {
            ...(first as NonNullable<typeof first>),
            handle: async () => ({ status: 200, headers: { location: 'a\nb' } }),
          },
        ],
      },
    ],
  });
  try {
    await problemIn(await fetch(`${broken.url}/products/1`), 'internal');
    assert.match(
      await (await fetch(`${broken.url}/metrics`)).text(),
      /active_connections{service="sample"} 0/,
    );
  } finally {
    await broken.gateway.close();
  }
});
