/** Bad input to products, stock and accounts; bad tokens, keys and versions; and what is no request at all. */
import { match, strictEqual } from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { realHost } from 'cardume/host/real';
import { type AskOptions, newSecrets } from './cluster.fixture.ts';
import {
  card,
  noAccount,
  noProduct,
  openStall,
  pounds,
  type Refusal,
  type Stall,
} from './refusal.fixture.ts';

describe('bad input', () => {
  let stall: Stall;

  before(async () => {
    stall = await openStall();
  });
  after(() => stall.cluster.close());

  test('products and stock', async () => {
    const { cluster, product, order, refuse } = stall;
    const { staff } = cluster;
    const good = { sku: 'EEL', name: 'Eel', category: 'fish', price: pounds('1.00') };
    const invalid = (
      what: string,
      pointer: string,
      method: string,
      path: string,
      body?: unknown,
    ): Refusal => [what, 400, 'invalid-input', pointer, method, path, { token: staff, body }];
    const list = (what: string, pointer: string, more: object): Refusal =>
      invalid(what, pointer, 'POST', '/products', { ...good, ...more });
    const at = `/products/${product}`;
    const stock = (what: string, pointer: string, body: unknown): Refusal =>
      invalid(what, pointer, 'POST', `${at}/stock`, body);
    const move = (what: string, pointer: string, more: object): Refusal =>
      invalid(what, pointer, 'POST', `${at}/stock/transfers`, {
        from: 'eu-west',
        to: 'us-east',
        quantity: 1,
        ...more,
      });
    await refuse([
      list('no SKU', '/body/sku', { sku: '' }),
      list('a long SKU', '/body/sku', { sku: 'x'.repeat(61) }),
      list('a price with three decimals', '/body/price/amount', { price: pounds('1.005') }),
      list('a yen with decimals', '/body/price/amount', { price: { amount: '1.5', currency: 'JPY' } }),
      list('a negative price', '/body/price/amount', { price: pounds('-1') }),
      list('eleven pictures', '/body/pictures', { pictures: Array.from({ length: 11 }, () => 'a.jpg') }),
      list('an unknown field', '/body/stock', { stock: 7 }),
      invalid('no change', '/body', 'PATCH', at, {}),
      invalid('the SKU changed', '/body/sku', 'PATCH', at, { sku: 'OTHER' }),
      invalid('a name of another type', '/body/name', 'PATCH', at, { name: 7 }),
      stock('nothing received', '/body/quantity', { region: 'eu-west', quantity: 0 }),
      stock('less than nothing received', '/body/quantity', { region: 'eu-west', quantity: -5 }),
      stock('too much received', '/body/quantity', { region: 'eu-west', quantity: 1_000_000_001 }),
      stock('received nowhere', '/body/region', { region: 'atlantis', quantity: 1 }),
      move('nothing moved', '/body/quantity', { quantity: 0 }),
      move('moved to where it is', '/body/to', { to: 'eu-west' }),
      move('moved nowhere', '/body/to', { to: 'atlantis' }),
      move('moved from nowhere', '/body/from', { from: 'atlantis' }),
      invalid('a page of 0', '/search/limit', 'GET', '/products?limit=0'),
      invalid('a page of 1,001', '/search/limit', 'GET', '/products?limit=1001'),
      invalid('a page of some', '/search/limit', 'GET', '/products?limit=some'),
      invalid('an unknown order', '/search/sort', 'GET', '/products?sort=sku'),
      invalid('an unknown filter', '/search/colour', 'GET', '/products?colour=red'),
      ['a cursor that is none', 400, 'invalid-cursor', null, 'GET', '/products?after=here'],
      [
        'a SKU twice',
        409,
        'already-exists',
        null,
        'POST',
        '/products',
        { token: staff, body: { ...good, sku: 'COD' } },
      ],
      [
        'another currency',
        409,
        'conflict',
        null,
        'PATCH',
        at,
        { token: staff, body: { price: { amount: '1.00', currency: 'EUR' } } },
      ],
      [
        'more moved than there is',
        409,
        'insufficient-stock',
        null,
        'POST',
        `${at}/stock/transfers`,
        { token: staff, body: { from: 'eu-west', to: 'us-east', quantity: 101 } },
      ],
      [
        'stock of nothing',
        404,
        'not-found',
        null,
        'POST',
        `/products/${noProduct}/stock`,
        { token: staff, body: { region: 'eu-west', quantity: 1 } },
      ],
      [
        'rights of nothing',
        404,
        'not-found',
        null,
        'POST',
        `/products/${noProduct}/stock/transfers`,
        { token: staff, body: { from: 'eu-west', to: 'us-east', quantity: 1 } },
      ],
      ['a path that is no id', 404, 'not-found', null, 'GET', '/products/COD'],
      ['a product that is an order', 404, 'not-found', null, 'GET', `/products/${order}`],
      ['no product', 404, 'not-found', null, 'DELETE', `/products/${noProduct}`, { token: staff }],
      ['a faulty escape in the path', 400, 'invalid-input', null, 'GET', '/products/%zz'],
      ['a faulty escape in the query', 400, 'invalid-input', null, 'GET', '/products?prefix=%zz'],
    ]);
  });

  test('accounts', async () => {
    const { cluster, ana, bob, refuse } = stall;
    const person = { name: 'Carl', email: 'carl@example.com', password: 'seven-sleepy-seals', country: 'GB' };
    const invalid = (what: string, pointer: string, more: object): Refusal => [
      what,
      400,
      'invalid-input',
      pointer,
      'POST',
      '/users',
      { body: { ...person, ...more } },
    ];
    const hashes = cluster.hashes;
    const own = `/users/${ana.id}`;
    await refuse([
      invalid('no e-mail', '/body/email', { email: undefined }),
      invalid('an e-mail without @', '/body/email', { email: 'carl' }),
      invalid('a long e-mail', '/body/email', { email: `${'c'.repeat(250)}@example.com` }),
      invalid('no password', '/body/password', { password: undefined }),
      invalid('a short password', '/body/password', { password: 'seven77' }),
      invalid('a common password', '/body/password', { password: 'Password123' }),
      invalid('a long password', '/body/password', { password: 'x1y2'.repeat(33) }),
      invalid('no country', '/body/country', { country: undefined }),
      invalid('a country in words', '/body/country', { country: 'United Kingdom' }),
      invalid('an unknown region', '/body/region', { region: 'atlantis' }),
      invalid('an unknown role', '/body/role', { role: 'admin' }),
      invalid('an unknown field', '/body/admin', { admin: true }),
      [
        'a role that only staff gives',
        403,
        'forbidden',
        null,
        'POST',
        '/users',
        { body: { ...person, role: 'staff' } },
      ],
      [
        'a name of nothing',
        400,
        'invalid-input',
        '/body/name',
        'PATCH',
        own,
        { token: ana.token, body: { name: '' } },
      ],
      ['another’s name', 404, 'not-found', null, 'PATCH', own, { token: bob.token, body: { name: 'Bob' } }],
      [
        'half an address',
        400,
        'invalid-input',
        '/body/line1',
        'POST',
        `${own}/addresses`,
        { token: ana.token, body: { name: 'Ana', city: 'Bath', postcode: 'BA1', country: 'GB' } },
      ],
      ['no such address', 404, 'not-found', null, 'DELETE', `${own}/addresses/adr_1`, { token: ana.token }],
      [
        'a wrong password',
        401,
        'wrong-credentials',
        null,
        'POST',
        `${own}/password`,
        { token: ana.token, body: { current: 'x', password: 'eight-sleepy-seals' } },
      ],
      [
        'an unknown e-mail',
        401,
        'wrong-credentials',
        null,
        'POST',
        '/users/sign-in',
        { body: { email: 'nobody@example.com', password: 'seven-sleepy-seals' } },
      ],
      [
        'an account of no partition',
        404,
        'not-found',
        null,
        'GET',
        `/users/${noAccount.replace('304', '3zz')}`,
        { token: cluster.staff },
      ],
    ]);
    strictEqual(cluster.hashes, hashes + 2, 'only the two attempts to sign in cost a hash');
  });

  test('tokens, keys and preconditions', async () => {
    const { cluster, product, ana, bob, order, line, refuse } = stall;
    const body = { lines: [line()], payment: card };
    const place = (
      what: string,
      status: number,
      code: string,
      pointer: string | null,
      options: AskOptions,
    ): Refusal => [what, status, code, pointer, 'POST', '/orders', { body, ...options }];
    const principal = { id: ana.id, role: 'customer' } as const;
    const forged = cluster.tokenOf(principal, 0, newSecrets(realHost()));
    const [head, claims, signature] = ana.token.split('.') as [string, string, string];
    const raised = Buffer.from(claims, 'base64url').toString().replace('customer', 'staff');
    const altered = `${head}.${Buffer.from(raised).toString('base64url')}.${signature}`;
    const unsigned = `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${claims}.x`;
    const { token } = ana;
    const key = (value: string) => ({ token, headers: { 'idempotency-key': value } });
    await refuse([
      place('no token', 401, 'token-required', null, {}),
      place('an expired token', 401, 'expired-token', null, { token: cluster.tokenOf(principal, 3_601) }),
      place('a forged token', 401, 'invalid-token', null, { token: forged }),
      place('a token made that of staff', 401, 'invalid-token', null, { token: altered }),
      place('a token without a signature', 401, 'invalid-token', null, { token: unsigned }),
      place('a text for a token', 401, 'invalid-token', null, { token: 'secret' }),
      place('another scheme', 401, 'invalid-token', null, {
        headers: { authorization: 'Basic YW5hOmFuYQ==' },
      }),
      place('a key used for another body', 422, 'idempotency-key-reused', null, {
        token,
        key: 'used',
        body: { ...body, country: 'Wales' },
      }),
      place('an empty key', 400, 'invalid-input', '/headers/idempotency-key', key('')),
      place('a key with a space', 400, 'invalid-input', '/headers/idempotency-key', key('a b')),
      place('a long key', 400, 'invalid-input', '/headers/idempotency-key', key('k'.repeat(129))),
      ['another’s order', 404, 'not-found', null, 'GET', `/orders/${order}`, { token: bob.token }],
      [
        'another’s order cancelled',
        404,
        'not-found',
        null,
        'POST',
        `/orders/${order}/cancel`,
        { token: bob.token },
      ],
      [
        'another’s order followed',
        404,
        'not-found',
        null,
        'GET',
        `/orders/${order}/events`,
        { token: bob.token },
      ],
      ['another’s orders', 404, 'not-found', null, 'GET', `/orders?customer=${ana.id}`, { token: bob.token }],
      [
        'a cancellation with a body',
        400,
        'invalid-input',
        '/body',
        'POST',
        `/orders/${order}/cancel`,
        { token, body: { why: 'x' } },
      ],
      [
        'an old version',
        412,
        'precondition-failed',
        null,
        'PATCH',
        `/products/${product}`,
        { token: cluster.staff, body: { name: 'Code' }, headers: { 'if-match': '"9"' } },
      ],
      [
        'a version that is none',
        400,
        'invalid-input',
        '/headers/if-match',
        'PATCH',
        `/products/${product}`,
        { token: cluster.staff, body: { name: 'Code' }, headers: { 'if-match': 'W/"1"' } },
      ],
      [
        'an event that is none',
        400,
        'invalid-cursor',
        null,
        'GET',
        `/orders/${order}/events`,
        { token, headers: { 'last-event-id': '-1' } },
      ],
      [
        'a consistency token that is none',
        400,
        'invalid-input',
        '/headers/cardume-token',
        'GET',
        '/orders',
        { token, headers: { 'cardume-token': 'x' } },
      ],
      [
        'an age that is none',
        400,
        'invalid-input',
        '/headers/cardume-max-staleness-ms',
        'GET',
        '/orders',
        { token, headers: { 'cardume-max-staleness-ms': '-1' } },
      ],
      ['a cursor of another list', 400, 'invalid-cursor', null, 'GET', '/orders?after=bm90aGluZw', { token }],
      ['an unknown path', 404, 'not-found', null, 'GET', '/order', { token }],
      ['an unknown method', 405, 'method-not-allowed', null, 'PUT', '/orders', { token, body }],
    ]);
  });

  test('bodies that are no JSON, or too much of it', async () => {
    const { ana, line, refuse } = stall;
    const { token } = ana;
    const text = (
      what: string,
      status: number,
      code: string,
      bytes: Uint8Array | string,
      headers = {},
    ): Refusal => [
      what,
      status,
      code,
      null,
      'POST',
      '/orders',
      { token, bytes: Buffer.from(bytes as string), headers },
    ];
    const whole = JSON.stringify({ lines: [line()], payment: card });
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const big = Buffer.alloc(10 * 1024 * 1024, ' ');
    await refuse([
      text('half a document', 400, 'bad-json', whole.slice(0, -1)),
      text('two documents', 400, 'bad-json', whole + whole),
      text('a text that is no JSON', 400, 'bad-json', 'lines=1'),
      text(
        'bytes that are not UTF-8',
        400,
        'bad-json',
        Buffer.concat([Buffer.from(whole), Buffer.from([0xff])]),
      ),
      text('Latin-1', 400, 'bad-json', Buffer.from(`{"country":"C\u00f4te"}`, 'latin1')),
      text('UTF-16', 400, 'bad-json', Buffer.from(whole, 'utf16le')),
      text('half of a surrogate pair', 400, 'bad-json', '{"country":"\\ud800"}'),
      text('a prototype', 400, 'bad-json', '{"__proto__":{"role":"staff"}}'),
      text('plain text', 415, 'unsupported-media-type', whole, { 'content-type': 'text/plain' }),
      text('a form', 415, 'unsupported-media-type', 'a=b', {
        'content-type': 'application/x-www-form-urlencoded',
      }),
      text('no type', 415, 'unsupported-media-type', whole, { 'content-type': '' }),
      text('packed', 415, 'unsupported-media-type', whole, { 'content-encoding': 'gzip' }),
      text('10 MB', 413, 'body-too-large', big),
      text('10 MB without a length', 413, 'body-too-large', big, { 'transfer-encoding': 'chunked' }),
      [
        'nested deeply',
        400,
        'invalid-input',
        '/body',
        'POST',
        '/orders',
        { token, bytes: Buffer.from(deep) },
      ],
      [
        'nested deeply under a key',
        400,
        'invalid-input',
        '/body',
        'POST',
        '/orders',
        { token, key: 'deep', bytes: Buffer.from(deep) },
      ],
      ['nothing', 400, 'invalid-input', '/body', 'POST', '/orders', { token }],
    ]);
  });

  test('what is not HTTP is answered too, and the instance goes on', async () => {
    const { cluster } = stall;
    const before = await cluster.entries();
    const { port } = cluster.topology.regions['us-east'] as { readonly port: number };
    for (const bytes of [
      '\0\0\0\0',
      'GET /orders HTTP/9.9\r\n\r\n',
      'POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n',
    ]) {
      const socket = connect(port, '127.0.0.1');
      let answer = '';
      socket.on('data', (chunk) => (answer += chunk));
      socket.end(bytes);
      await new Promise((resolve) => socket.once('close', resolve));
      match(answer, /^HTTP\/1\.1 400 /);
      match(answer, /application\/problem\+json/);
    }
    strictEqual(await cluster.entries(), before);
    strictEqual((await cluster.ask('us-east', 'GET', '/health/ready')).status, 200);
  });
});
