/** Partitions move between shards while people buy: nobody sees an error, nothing is lost, doubled or told by halves. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Body, type Cluster, until } from './cluster.fixture.ts';
import { startWithOneProduct } from './one-product.fixture.ts';

const region = 'eu-west';

describe('resharding', () => {
  let cluster: Cluster;
  let product: string;
  let token: string;

  before(async () => {
    ({ cluster, product, token } = await startWithOneProduct(region));
  });
  after(() => cluster.close());

  const operators = (path: string): string => `/operators/regions/${region}/${path}`;
  const status = (): Promise<Body> =>
    cluster.done('us-east', 'GET', operators('shards'), { token: cluster.staff });
  const begin = (body: unknown): Promise<Body> =>
    cluster.done('us-east', 'POST', operators('reshard'), { token: cluster.staff, body });
  const phase = async (): Promise<string | null> => {
    const { reshard } = await status();
    strictEqual(reshard?.trouble ?? null, null);
    return reshard?.phase ?? null;
  };
  const shardsOf = async (service: string): Promise<Record<string, number>> =>
    Object.fromEntries(
      (await status()).shards
        .filter((one: Body) => one.service === service)
        .map(({ name, partitions }: Body) => [name, partitions]),
    );

  /** However long it takes, as long as it goes on. */
  async function allHaveMoved(): Promise<void> {
    for (let moved = 0; (await phase()) !== 'following'; ) {
      await until('one more has moved', async () => {
        const { reshard } = await status();
        const count = reshard.moves.filter(({ state }: Body) => state === 'moved').length;
        const isFurther = count > moved || reshard.phase === 'following';
        moved = count;
        return isFurther;
      });
    }
  }

  /** Orders, lists, reads with tokens and a live stream, until it is stopped. @returns what was acknowledged */
  function traffic(prefix: string) {
    const placed: string[] = [];
    let going = true;
    const place = async (lane: number): Promise<void> => {
      for (let i = 0; going; i += 1) {
        const via = i % 2 === 0 ? region : 'us-west';
        const order = {
          token,
          key: `${prefix}-${lane}-${i}`,
          body: { lines: [{ product, quantity: 1 }], payment: { method: 'card', token: 'tok_approve' } },
        };
        const { status: code, text, body, headers } = await cluster.ask(via, 'POST', '/orders', order);
        strictEqual(code, 201, text);
        placed.push(body.id);
        const seen = await cluster.ask('us-east', 'GET', `/orders/${body.id}`, {
          token,
          headers: { 'cardume-after': String(headers['cardume-token']) },
        });
        strictEqual(seen.status, 200, seen.text);
      }
    };
    const list = async (): Promise<void> => {
      while (going) {
        const before = placed.slice(-50);
        const {
          status: code,
          text,
          body,
        } = await cluster.ask('us-west', 'GET', '/orders?limit=400', { token });
        strictEqual(code, 200, text);
        const ids = body.items.map(({ id }: Body) => id);
        strictEqual(new Set(ids).size, ids.length, 'each order once');
        const missing = before.filter((id) => !ids.includes(id));
        deepStrictEqual(missing, [], `a list lacks ${missing.length} of ${before.length}`);
      }
    };
    const work = Promise.all([place(0), place(1), place(2), place(3), list()]);
    work.catch(() => {
      going = false;
    });
    return {
      placed,
      async stop(): Promise<readonly string[]> {
        going = false;
        await work;
        return placed;
      },
    };
  }

  async function everyOrderEnds(placed: readonly string[]): Promise<void> {
    await cluster.settled();
    for (const id of placed) {
      const { status: now } = await cluster.done('us-east', 'GET', `/orders/${id}`, { token });
      strictEqual(now, 'confirmed');
    }
    strictEqual(new Set(placed).size, placed.length);
  }

  async function sold(): Promise<number> {
    return (await cluster.done(region, 'GET', `/products/${product}/stock`, { token: cluster.staff })).total
      .sold;
  }

  test('from two shards to four and back, under load: no error, every order once, everything verified', async () => {
    const soldBefore = await sold();
    const load = traffic('there');
    await until('orders come in', () => load.placed.length > 50);
    await begin({ service: 'orders', to: 4 });
    await allHaveMoved();
    const { reshard } = await status();
    ok(reshard.moves.length === 8, `${reshard.moves.length} moves`);
    for (const { held_ms: heldMs, verified, state } of reshard.moves) {
      strictEqual(state, 'moved');
      ok(heldMs <= 1_000, `callers were held for ${heldMs} ms`);
      ok(verified !== null);
    }
    deepStrictEqual(await shardsOf('orders'), { 'orders-0': 4, 'orders-1': 4, 'orders-2': 4, 'orders-3': 4 });
    const middle = load.placed.length;
    await until('more orders come in', () => load.placed.length > middle + 50);
    await cluster.done('us-east', 'POST', operators('reshard/finish'), { token: cluster.staff });
    await until('it has ended', async () => (await phase()) === null);

    await begin({ service: 'orders', to: 2 });
    await allHaveMoved();
    await cluster.done('us-east', 'POST', operators('reshard/finish'), { token: cluster.staff });
    await until('it has ended', async () => (await phase()) === null);
    deepStrictEqual(await shardsOf('orders'), { 'orders-0': 8, 'orders-1': 8 });

    const placed = await load.stop();
    await everyOrderEnds(placed);
    strictEqual((await sold()) - soldBefore, placed.length);
    deepStrictEqual(cluster.complaints, []);
  });

  const finish = async (how: 'finish' | 'rollback'): Promise<void> => {
    await cluster.done('us-east', 'POST', operators(`reshard/${how}`), { token: cluster.staff });
    await until('it has ended', async () => (await phase()) === null);
  };

  test('rolled back under load: what has moved goes back, with what came in meanwhile', async () => {
    const load = traffic('back');
    await until('orders come in', () => load.placed.length > 50);
    await begin({ service: 'orders', to: 4 });
    await until('some have moved', async () => {
      const { reshard } = await status();
      return reshard.moves.filter(({ state }: Body) => state === 'moved').length >= 3;
    });
    await finish('rollback');
    deepStrictEqual(await shardsOf('orders'), { 'orders-0': 8, 'orders-1': 8 });
    await everyOrderEnds(await load.stop());
    deepStrictEqual(cluster.complaints, []);
  });

  test('a live stream goes on, wherever its order moves', async () => {
    const placed = await cluster.done(region, 'POST', '/orders', {
      token,
      body: { lines: [{ product, quantity: 1 }], payment: { method: 'card', token: 'tok_late' } },
    });
    const stream = await cluster.follow('us-west', `/orders/${placed.id}/events`, { token });
    const seen: string[] = [];
    const following = (async () => {
      for await (const { data } of stream.events) seen.push(data.status);
    })().catch(() => undefined);
    await until('it is paying', () => seen.includes('paying'));
    await begin({ service: 'orders', to: 1 });
    await allHaveMoved();
    await finish('rollback');
    await cluster.advance(10_000);
    await until('it is confirmed', () => seen.length === 3);
    stream.close();
    await following;
    deepStrictEqual(seen, ['placed', 'paying', 'confirmed']);
    await cluster.settled();
  });

  test('accounts move with the keys that open their names, there and back', async () => {
    const people = async (count: number, prefix: string): Promise<Map<string, string>> => {
      const made = new Map<string, string>();
      for (let i = 0; i < count; i += 1) {
        const person = { name: `${prefix} ${i}`, country: 'GB' };
        const { id } = await cluster.done(region, 'POST', '/users', { token: cluster.staff, body: person });
        made.set(id, person.name);
      }
      return made;
    };
    const areKnown = async (known: ReadonlyMap<string, string>): Promise<void> => {
      for (const [id, name] of known) {
        const account = await cluster.done('us-east', 'GET', `/users/${id}`, { token: cluster.staff });
        strictEqual(account.name, name);
      }
    };
    const before = await people(40, 'Before');
    await begin({ service: 'users', to: 2 });
    const during = await people(40, 'During');
    await allHaveMoved();
    const behind = await people(40, 'Behind');
    for (const known of [before, during, behind]) await areKnown(known);
    await finish('rollback');
    for (const known of [before, during, behind]) await areKnown(known);
    const rename = { token: cluster.staff, body: { name: 'Renamed' } };
    for (const id of behind.keys()) await cluster.done('us-west', 'PATCH', `/users/${id}`, rename);
    await areKnown(new Map([...behind.keys()].map((id) => [id, 'Renamed'])));
    deepStrictEqual(cluster.complaints, []);
  });

  test('a region that is killed while partitions move goes on with them', async () => {
    const placed: string[] = [];
    for (let i = 0; i < 60; i += 1) {
      const order = { lines: [{ product, quantity: 1 }], payment: { method: 'card', token: 'tok_approve' } };
      placed.push((await cluster.done(region, 'POST', '/orders', { token, body: order })).id);
    }
    await begin({ service: 'orders', to: 4 });
    for (let kills = 1; kills <= 3; kills += 1) {
      await until('one more has moved', async () => {
        const { reshard } = await status();
        return reshard.moves.filter(({ state }: Body) => state === 'moved').length >= kills * 2;
      });
      await cluster.stop(region, 'kill');
      await cluster.start(region);
    }
    await allHaveMoved();
    await finish('finish');
    deepStrictEqual(await shardsOf('orders'), { 'orders-0': 4, 'orders-1': 4, 'orders-2': 4, 'orders-3': 4 });
    await everyOrderEnds(placed);
    await cluster.stop(region, 'drain');
    await cluster.start(region);
    await everyOrderEnds(placed);
    const { items } = await cluster.done('us-west', 'GET', '/orders?limit=100', { token });
    deepStrictEqual(
      placed.filter((id) => !items.some((one: Body) => one.id === id)),
      [],
    );
  });

  test('what cannot be is refused, and names what is wrong', async () => {
    const refused = async (
      body: unknown,
      path = operators('reshard'),
      as = cluster.staff,
    ): Promise<unknown[]> => {
      const { status: code, body: problem } = await cluster.ask('us-west', 'POST', path, { token: as, body });
      return [
        code,
        problem.code,
        ...(problem.errors ?? []).map((fault: Body) => fault.pointer ?? fault.path),
      ];
    };
    deepStrictEqual((await refused({ service: 'orders', to: 65 }))[0], 400);
    deepStrictEqual((await refused({ service: 'orders', to: 64 })).slice(0, 2), [400, 'invalid-input']);
    deepStrictEqual((await refused({ service: 'ships', to: 2 })).slice(0, 2), [400, 'invalid-input']);
    deepStrictEqual((await refused({ service: 'orders' })).slice(0, 2), [400, 'invalid-input']);
    deepStrictEqual((await refused({ service: 'orders', to: 4 })).slice(0, 2), [409, 'conflict']);
    deepStrictEqual(
      (await refused({ service: 'orders', moves: [{ partition: 0, to: 'orders-0' }] })).slice(0, 2),
      [400, 'invalid-input'],
    );
    deepStrictEqual((await refused(undefined, operators('reshard/finish'))).slice(0, 2), [409, 'conflict']);
    deepStrictEqual((await refused({ service: 'orders', to: 2 }, '/operators/regions/mars/reshard'))[0], 404);
    deepStrictEqual((await refused({ service: 'orders', to: 2 }, operators('reshard'), token))[0], 403);
  });

  /** Under load. */
  async function allMoveTo(engine: string, names: readonly string[]): Promise<void> {
    const told = cluster.complaints.length;
    const load = traffic(engine);
    await until('orders come in', () => load.placed.length > 50);
    await begin({ service: 'orders', to: 2, engine });
    await allHaveMoved();
    const { reshard, shards } = await status();
    for (const { held_ms: heldMs, verified } of reshard.moves)
      ok(heldMs <= 2_000 && verified !== null, `${heldMs} ms`);
    deepStrictEqual(
      shards
        .filter(({ service, partitions }: Body) => service === 'orders' && partitions > 0)
        .map((one: Body) => [one.name, one.engine, one.partitions]),
      names.map((name) => [name, engine, 8]),
    );
    await finish('finish');
    const middle = load.placed.length;
    await until('more orders come in', () => load.placed.length > middle + 50);
    await everyOrderEnds(await load.stop());
    deepStrictEqual(cluster.complaints.slice(told), []);
  }

  test('from files to a server, or from a server to files, under load', async (t) => {
    const { log, mysql } = cluster.topology.engines;
    if (mysql === undefined) return t.skip('skipped: mariadb is not running');
    await allMoveTo(log === 'sqlite' ? 'mysql' : 'sqlite', ['orders-4', 'orders-5']);
    return undefined;
  });

  test('to an engine of somebody else, which the topology names; a restart finds it there', async () => {
    const highest = Math.max(...Object.keys(await shardsOf('orders')).map((name) => Number(name.slice(7))));
    await allMoveTo('own', [`orders-${highest + 1}`, `orders-${highest + 2}`]);
    await cluster.stop(region, 'kill');
    await cluster.start(region);
    const { items } = await cluster.done('us-west', 'GET', '/orders?limit=100', { token });
    strictEqual(items.length, 100);
    const named = await cluster.ask('us-west', 'POST', operators('reshard'), {
      token: cluster.staff,
      body: { service: 'orders', to: 2, engine: 'oracle' },
    });
    strictEqual(named.status, 400, named.text);
    strictEqual(named.body.errors[0].pointer, '/engine');
  });
});
