/** A shop that is asked for what it must refuse: a problem document that names the field, and nothing in any log. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { type AskOptions, type Cluster, startCluster } from './cluster.fixture.ts';

/** What is asked, and what is answered: status, code, and the pointer of the first fault (null: none is named). */
export type Refusal = readonly [
  what: string,
  status: number,
  code: string,
  pointer: string | null,
  method: string,
  path: string,
  options?: AskOptions,
];

export interface Stall {
  readonly cluster: Cluster;
  /** Sells in pounds, 100 pieces in eu-west. */
  readonly product: string;
  /** Sells in dollars. */
  readonly dollars: string;
  readonly ana: Person;
  readonly bob: Person;
  /** Ana's, placed under the key `used`. */
  readonly order: string;
  /** Of an order of the product. */
  line(more?: object): object;
  /** Sends each to a region, in turn. */
  refuse(refusals: readonly Refusal[]): Promise<void>;
}

interface Person {
  readonly id: string;
  readonly token: string;
}

/** Well formed, and nothing stands under them. */
export const noAccount = 'acc_304_5vnhs18y1sqetjpdmj696f6t9g';
export const noProduct = 'prd_006_0vnhs18y1sqetjpdmj696f6t9g';
export const card = { method: 'card', token: 'tok_approve' };

export function pounds(amount: unknown): object {
  return { amount, currency: 'GBP' };
}

export async function openStall(): Promise<Stall> {
  const cluster = await startCluster();
  const { staff, done } = cluster;
  const list = async (sku: string, currency: string): Promise<string> => {
    const body = { sku, name: sku, category: 'fish', price: { amount: '2.55', currency } };
    return (await done('us-east', 'POST', '/products', { token: staff, body })).id;
  };
  const person = async (name: string): Promise<Person> => {
    const { id } = await done('eu-west', 'POST', '/users', { token: staff, body: { name, country: 'GB' } });
    return { id, token: cluster.tokenOf({ id, role: 'customer' }) };
  };
  const [product, dollars] = [await list('COD', 'GBP'), await list('COD-USD', 'USD')];
  const receipt = { token: staff, body: { region: 'eu-west', quantity: 100 } };
  await done('us-east', 'POST', `/products/${product}/stock`, receipt);
  const [ana, bob] = [await person('Ana'), await person('Bob')];
  const placed = {
    token: ana.token,
    key: 'used',
    body: { lines: [{ product, quantity: 1 }], payment: card },
  };
  const order = (await done('eu-west', 'POST', '/orders', placed)).id;
  return {
    cluster,
    product,
    dollars,
    ana,
    bob,
    order,
    line: (more = {}) => ({ product, quantity: 1, ...more }),
    refuse: (refusals) => refuse(cluster, refusals),
  };
}

async function refuse(cluster: Cluster, refusals: readonly Refusal[]): Promise<void> {
  await cluster.settled();
  for (const [i, [what, status, code, pointer, method, path, options]] of refusals.entries()) {
    const before = await cluster.entries();
    const region = cluster.regions[i % 3] as string;
    const { headers, body, text, ...reply } = await cluster.ask(region, method, path, options);
    deepStrictEqual(
      [what, reply.status, body?.code, body?.errors?.[0]?.pointer ?? null],
      [what, status, code, pointer],
      `${what} in ${region}: ${text}`,
    );
    strictEqual(headers['content-type'], 'application/problem+json', what);
    deepStrictEqual([body.type, body.status], [`/problems/${code}`, status]);
    ok(body.title !== '' && body.detail !== '' && body.help !== '', what);
    match(body.instance, /^urn:cardume:request:.+/);
    strictEqual(await cluster.entries(), before, `${what}: an entry was written`);
  }
  deepStrictEqual(cluster.complaints, []);
}
