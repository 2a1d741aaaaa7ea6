/**
 * What stands in /openapi.json is what happens: every operation is called with a request that its own document
 * accepts, and every answer is one that the document describes, without a field more.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { validatorOf } from 'cardume/gateway/validation';
import {
  type AskOptions,
  type Body,
  type Cluster,
  type Reply,
  startCluster,
  until,
} from './cluster.fixture.ts';

interface Described {
  readonly method: string;
  readonly path: string;
  readonly operation: Body;
}

describe('the OpenAPI document', () => {
  let cluster: Cluster;
  let document: Body;
  const operations = new Map<string, Described>();
  /** `<operationId> <status>` of every 2xx answer that was seen. */
  const seen = new Set<string>();

  before(async () => {
    cluster = await startCluster();
    document = (await cluster.ask('us-east', 'GET', '/openapi.json')).body;
    for (const [path, methods] of Object.entries<Body>(document.paths)) {
      for (const [method, operation] of Object.entries<Body>(methods)) {
        operations.set(operation.operationId, { method: method.toUpperCase(), path, operation });
      }
    }
  });
  after(() => cluster.close());

  const resolved = (schema: Body): Body =>
    schema.$ref === undefined
      ? schema
      : schema.$ref
          .slice(2)
          .split('/')
          .reduce((at: Body, step: string) => at[step], document);

  function checked(what: string, schema: Body, value: unknown): void {
    deepStrictEqual([what, validatorOf(resolved(schema)).faults(value, '')], [what, []]);
  }

  interface Input extends AskOptions {
    readonly params?: Readonly<Record<string, string>>;
    readonly search?: Readonly<Record<string, string | number>>;
  }

  function requested(id: string, { params = {}, search = {}, body, headers = {}, key }: Input): Described {
    const described = operations.get(id) as Described;
    ok(described !== undefined, `${id} is documented`);
    const { operation } = described;
    const given = new Map<string, unknown>([
      ...Object.entries(params).map(([name, value]) => [`path ${name}`, value] as const),
      ...Object.entries(search).map(([name, value]) => [`query ${name}`, value] as const),
      ...Object.entries(headers).map(([name, value]) => [`header ${name}`, value] as const),
      ...(key === undefined ? [] : [['header idempotency-key', key] as const]),
    ]);
    for (const { name, in: where, required, schema } of operation.parameters) {
      const at = `${where} ${where === 'header' ? name.toLowerCase() : name}`;
      ok(!required || given.has(at), `${id}: ${at} is required`);
      if (given.has(at)) checked(`${id}: ${at}`, schema, given.get(at));
      given.delete(at);
    }
    given.delete('header accept');
    deepStrictEqual([id, [...given.keys()]], [id, []], 'what is sent is documented');
    const content = operation.requestBody?.content['application/json'];
    strictEqual(content === undefined, body === undefined, `${id}: a body`);
    if (content !== undefined) checked(`${id}: body`, content.schema, body);
    return described;
  }

  function answered(id: string, { operation }: Described, { status, headers, body, text }: Reply): void {
    const response = operation.responses[status];
    ok(response !== undefined, `${id}: ${status} is documented: ${text}`);
    if (status >= 400)
      ok(response.description.includes(`\`${body.code}\``), `${id}: ${body.code} is documented`);
    if (status < 300) seen.add(`${id} ${status}`);
    for (const name of ['x-request-id', 'ratelimit']) ok(headers[name] !== undefined, `${id}: ${name}`);
    const [type, content] = Object.entries<Body>(response.content ?? {})[0] ?? [];
    if (type === undefined) strictEqual(text, '', `${id}: ${status} has no body`);
    else {
      strictEqual(headers['content-type']?.split(';')[0], type, id);
      checked(`${id}: ${status}`, content.schema, body);
    }
  }

  const pathOf = (path: string, { params = {}, search = {} }: Input): string => {
    const query = new URLSearchParams(Object.entries(search).map(([name, value]) => [name, String(value)]));
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(params[name] as string));
    return query.size === 0 ? filled : `${filled}?${query}`;
  };

  /** Calls an operation in each region's turn; its answer is checked against the document. */
  let turn = 0;
  async function call(id: string, input: Input = {}): Promise<Reply> {
    const described = requested(id, input);
    turn += 1;
    const region = cluster.regions[turn % 3] as string;
    const reply = await cluster.ask(region, described.method, pathOf(described.path, input), input);
    answered(id, described, reply);
    const { etag } = reply.headers;
    if (described.method === 'GET' && etag !== undefined) {
      const held = { ...input, headers: { ...input.headers, 'if-none-match': etag } };
      const again = await cluster.ask(region, 'GET', pathOf(requested(id, held).path, held), held);
      strictEqual(again.status, 304, id);
      answered(id, described, again);
    }
    return reply;
  }
  const good = async (id: string, input: Input = {}): Promise<Body> => {
    const { status, text, body } = await call(id, input);
    ok(status >= 200 && status < 300, `${id}: ${status} ${text}`);
    return body;
  };

  const of = async (id: string, code: string, input: Input): Promise<void> =>
    strictEqual((await call(id, input)).body.code, code);

  test('describes what every operation answers', async () => {
    const { staff } = cluster;
    const price = { amount: '2.55', currency: 'GBP' };
    const password = 'seven-sleepy-seals';
    const account = {
      name: 'Ana',
      email: 'ana@example.com',
      password,
      country: 'BR',
      role: 'customer',
      region: 'us-east',
    };
    const { id: ana, token } = await good('users.register', { key: 'ana', body: account });
    const params = { id: ana };
    await good('users.register', { token: staff, body: { name: 'Imported', country: 'DE' } });
    await good('users.sign-in', { body: { email: account.email, password } });
    await good('users.get', { token, params, headers: { 'if-none-match': '"99"' } });
    await good('users.list', { token: staff, search: { country: 'BR', limit: 10 } });
    const { next } = await good('users.list', { token: staff, search: { limit: 1 } });
    await good('users.list', { token: staff, search: { limit: 1, after: next } });
    await good('users.change', { token, params, body: { name: 'Ana S.' }, headers: { 'if-match': '*' } });
    const address = {
      name: 'Ana',
      line1: 'Quay 1',
      line2: 'Left',
      city: 'Bahia',
      postcode: '1',
      country: 'BR',
    };
    const { id: address_id } = await good('users.addresses.add', {
      token,
      params,
      key: 'home',
      body: address,
    });
    await good('users.addresses', { token, params });
    await good('users.addresses.remove', { token, params: { ...params, address_id } });
    await good('users.password', {
      token,
      params,
      body: { current: password, password: 'eight-sleepy-seals' },
    });
    await good('users.move', { token, params, key: 'move', body: { region: 'eu-west' } });
    await good('users.get', { token, params });

    const listing = {
      sku: 'COD',
      name: 'Cod',
      category: 'fish',
      price,
      description: 'A cod.',
      pictures: ['cod.jpg'],
    };
    const { id: cod } = await good('products.list', { token: staff, key: 'cod', body: listing });
    const ofCod = { params: { id: cod }, token: staff };
    await good('products.list', { token: staff, body: { sku: 'EEL', name: 'Eel', category: 'fish', price } });
    await good('products.get', { params: { id: cod } });
    await good('products.change', {
      ...ofCod,
      body: { price: { amount: '3.00', currency: 'GBP' }, pictures: [] },
    });
    const page = await good('products.find', {
      search: { category: 'fish', prefix: 'c', sort: '-price', limit: 1 },
    });
    strictEqual(page.items.length, 1);
    const first = await good('products.find', { search: { limit: 1 } });
    await good('products.find', { search: { limit: 1, after: first.next } });
    await good('stock.receive', { ...ofCod, key: 'receipt', body: { region: 'us-east', quantity: 10 } });
    await good('stock.transfer', {
      ...ofCod,
      key: 'move',
      body: { from: 'us-east', to: 'eu-west', quantity: 2 },
    });
    await good('stock.overview', ofCod);

    const payment = { method: 'card', token: 'tok_approve' };
    const lines = [{ product: cod, quantity: 1 }];
    const { id: order } = await good('orders.place', {
      token,
      key: 'order',
      body: { lines, payment, country: 'BR' },
    });
    const unit_price = { amount: '2.555', currency: 'GBP' };
    await good('orders.place', {
      token: staff,
      body: {
        lines: [{ product: cod, quantity: 1, unit_price }],
        payment: { method: 'invoice' },
        guest: true,
        region: 'eu-west',
        country: 'EIRE',
        decimals: 3,
        placed_at: '2011-12-09T12:50:00Z',
        reference: '581587',
      },
    });
    await good('orders.place', {
      token: staff,
      body: { lines: [{ product: cod, quantity: 99 }], payment, customer: ana },
    });
    await cluster.settled();
    await good('orders.get', { token, params: { id: order } });
    await good('orders.find', { token, search: { limit: 1 } });
    const { items } = await good('orders.find', { token: staff, search: { customer: ana, limit: 10 } });
    deepStrictEqual(items.map(({ status }: Body) => status).sort(), ['confirmed', 'rejected']);
    for (const { id } of (await good('orders.find', { token: staff })).items) {
      await good('orders.get', { token: staff, params: { id } });
    }
    await good('orders.revenue', { token: staff, search: { by: 'country' } });
    await good('orders.cancel', { token, params: { id: order }, key: 'cancel' });
    await cluster.settled();
    await good('products.withdraw', ofCod);

    const events = requested('orders.events', { token, params: { id: order } });
    const path = pathOf(events.path, { params: { id: order } });
    const stream = await cluster.follow('us-west', path, { token });
    const statuses: string[] = [];
    let last = '';
    for await (const { id, data } of stream.events) {
      checked('orders.events', events.operation.responses[200].content['text/event-stream'].schema, data);
      statuses.push(data.status);
      last = id;
    }
    deepStrictEqual(statuses, ['placed', 'confirmed', 'cancelling', 'cancelled']);
    seen.add('orders.events 200');
    const nothing = await cluster.ask('us-west', 'GET', path, { token, headers: { 'last-event-id': last } });
    answered('orders.events', events, nothing);

    const ofRegion = { token: staff, params: { region: 'us-east' } };
    for (const how of ['operators.roll-back', 'operators.finish']) {
      await good('operators.reshard', { ...ofRegion, body: { service: 'orders', to: 1 } });
      const phase = async (): Promise<string | undefined> =>
        (await good('operators.shards', ofRegion)).reshard?.phase;
      await until('partitions have moved', async () => (await phase()) === 'following');
      await good(how, ofRegion);
      await until('it has ended', async () => (await phase()) === undefined);
    }

    const alone = cluster;
    cluster = await startCluster({ coordinated: true });
    try {
      const { staff: token } = cluster;
      const params = { region: 'us-east' };
      await until('regions reach each other', async () =>
        (await good('operators.regions', { token })).regions.every(
          ({ reachable, follows }: Body) =>
            reachable && follows.every((of: Body) => of.partitions === 0 || of.behind_ms !== null),
        ),
      );
      await good('operators.quarantine', { token, search: { region: 'us-east', state: 'all', limit: 1 } });
      for (const how of ['operators.quarantine.resubmit', 'operators.quarantine.discard']) {
        await good(how, { token, body: { region: 'us-east', service: 'orders', partition: 1 } });
        await of(how, 'not-found', { token, body: { entries: ['us-east/orders/rs-1-1'] } });
        await of(how, 'not-found', { token, body: { region: 'atlantis' } });
        await of(how, 'invalid-input', { token, body: {} });
        await of(how, 'invalid-cursor', { token, body: { region: 'us-east', after: 'x' } });
      }
      await of('operators.quarantine', 'not-found', { token, search: { region: 'atlantis' } });
      await of('operators.quarantine', 'invalid-cursor', { token, search: { after: 'x' } });
      await good('operators.switchover', { token, params, body: { to: 'us-west', born_in: 'us-east' } });
      const { id: ray } = await good('products.list', { token, body: { ...listing, sku: 'RAY' } });
      const ofRay = { token, params: { id: ray } };
      await good('stock.receive', { ...ofRay, body: { region: 'us-east', quantity: 10 } });
      await until('what would be frozen is known elsewhere', async () =>
        (await good('operators.regions', { token })).regions.every(({ alone }: Body) => alone === 0),
      );
      await cluster.stop('us-west', 'kill');
      turn = 1; // us-west is asked by nobody
      await good('stock.writeOff', { ...ofRay, body: { region: 'us-east', reason: 'it burned down' } });
    } finally {
      await cluster.close();
      cluster = alone;
    }

    const documented = [...operations].flatMap(([id, { operation }]) =>
      Object.keys(operation.responses).flatMap((status) => (Number(status) < 300 ? [`${id} ${status}`] : [])),
    );
    deepStrictEqual([...seen].sort(), documented.sort());
  });

  test('describes the failures that an operation has of its own', async () => {
    const { staff } = cluster;
    const price = { amount: '1.00', currency: 'GBP' };
    const password = 'seven-sleepy-seals';
    const bob = { name: 'Bob', email: 'bob@example.com', password, country: 'JP' };
    const { id, token } = await good('users.register', { body: bob });
    await of('users.register', 'email-taken', { body: bob });
    await of('users.register', 'forbidden', { body: { ...bob, role: 'staff' } });
    await of('users.sign-in', 'wrong-credentials', {
      body: { email: bob.email, password: 'six-sleepy-seals' },
    });
    const passwords = { current: 'six-sleepy-seals', password: 'nine-sleepy-seals' };
    await of('users.password', 'wrong-credentials', { token, params: { id }, body: passwords });
    await of('users.move', 'invalid-input', { token, params: { id }, body: { region: 'us-west' } });
    for (let moves = 0; moves < 8; moves += 1) {
      const region = moves % 2 === 0 ? 'us-east' : 'us-west';
      await good('users.move', { token, params: { id }, body: { region } });
    }
    await of('users.move', 'conflict', { token, params: { id }, body: { region: 'us-east' } });
    await of('users.list', 'invalid-cursor', { token: staff, search: { after: 'x' } });
    await of('users.addresses.remove', 'not-found', { token, params: { id, address_id: 'adr_1' } });
    const listing = { sku: 'GAR', name: 'Gar', category: 'fish', price };
    const { id: gar } = await good('products.list', { token: staff, body: listing });
    await of('products.list', 'already-exists', { token: staff, body: listing });
    await of('products.find', 'invalid-cursor', { search: { after: 'x' } });
    const ofGar = { token: staff, params: { id: gar } };
    const stale = { headers: { 'if-match': '"9"' }, body: { name: 'Garfish' } };
    await of('products.change', 'precondition-failed', { ...ofGar, ...stale });
    await of('products.change', 'conflict', { ...ofGar, body: { price: { ...price, currency: 'EUR' } } });
    await of('stock.transfer', 'insufficient-stock', {
      ...ofGar,
      body: { from: 'us-east', to: 'eu-west', quantity: 1 },
    });
    await of('stock.receive', 'invalid-input', { ...ofGar, body: { region: 'atlantis', quantity: 1 } });
    const body = {
      lines: [{ product: gar, quantity: 1 }],
      payment: { method: 'card', token: 'tok_approve' },
    };
    const nobody = cluster.tokenOf({ id: id.replace(/.$/, id.endsWith('0') ? '1' : '0'), role: 'customer' });
    await of('orders.place', 'forbidden', { token: nobody, body });
    const { id: order } = await good('orders.place', { token, key: 'one', body });
    await of('orders.place', 'idempotency-key-reused', {
      token,
      key: 'one',
      body: { ...body, country: 'JP' },
    });
    await cluster.settled();
    await of('orders.cancel', 'conflict', { token, params: { id: order } });
    const ofRegion = { token: staff, params: { region: 'us-west' } };
    await of('operators.reshard', 'conflict', { ...ofRegion, body: { service: 'orders', to: 2 } });
    await of('operators.reshard', 'invalid-input', { ...ofRegion, body: { service: 'orders', to: 64 } });
    await of('operators.roll-back', 'conflict', ofRegion);
    await of('operators.finish', 'conflict', ofRegion);
    await of('operators.switchover', 'not-found', { ...ofRegion, body: { to: 'atlantis' } });
    await of('operators.shards', 'not-found', { token: staff, params: { region: 'atlantis' } });
    await of('orders.find', 'invalid-cursor', { token, search: { after: 'x' } });
    await of('orders.events', 'invalid-cursor', {
      token,
      params: { id: order },
      headers: { 'last-event-id': 'x' },
    });
  });

  test('describes what every operation answers to those who may not, or ask for nothing that exists', async () => {
    const id = 'acc_104_0vnhs18y1sqetjpdmj696f6t9g';
    for (const [name, described] of operations) {
      const params = { id, address_id: 'adr_1', region: 'atlantis' };
      const path = pathOf(described.path, { params });
      for (const token of [null, 'a.b.c', cluster.tokenOf({ id, role: 'customer' }), cluster.staff]) {
        // An empty body fits nothing; where none is expected it is none.
        const reply = await cluster.ask('eu-west', described.method, path, {
          token,
          ...(described.operation.requestBody === undefined ? {} : { body: {} }),
        });
        answered(name, described, reply);
        if (token === 'a.b.c') strictEqual(reply.status, 401);
      }
    }
    deepStrictEqual(cluster.complaints, []);
  });
});
