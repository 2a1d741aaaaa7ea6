/**
 * The whole import against a small shop in memory that keeps the promises of the real one (idempotency keys, stock,
 * exact sums) behind real HTTP, and breaks the connection in every way a network does.
 */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { DECIMALS_MAX, formatAmount, parseAmount } from 'cardume/base/money';
import { type ImportOptions, importRetail } from './retail.ts';
import type { OrderRequest } from './shop-api.ts';
import type { ImportSummary } from './summary.ts';

const folder = mkdtempSync(join(tmpdir(), 'cardume-retail-'));
after(() => rmSync(folder, { recursive: true, force: true }));

type Body = Record<string, unknown>;
interface Reply {
  readonly status: number;
  readonly body: Body;
}
type Fault =
  | { readonly status: number; readonly retryAfterS?: number }
  | 'reset'
  | 'reset after the effect'
  | 'slow'
  | null;
interface Order {
  readonly request: OrderRequest;
  readonly region: string;
  status: string;
  readonly reason: string;
}

const problem = (status: number, code: string): Reply => ({
  status,
  body: { code, detail: `stub: ${code}` },
});

class StubShop {
  readonly accounts = new Map<string, { name: string; country: string; region: string }>();
  readonly products = new Map<string, { sku: string; name: string; price: string }>();
  readonly stock = new Map<string, number>();
  readonly orders = new Map<string, Order>();
  readonly requests: string[] = [];
  /** Decides what befalls a request, by its number and path. */
  fault: (count: number, path: string) => Fault = () => null;
  onRequest: (path: string) => void = () => {};
  token = 'staff';
  tellsReplays = true;
  readonly #answers = new Map<string, { readonly asked: string; readonly reply: Reply }>();
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #ids = 0;

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** What the region has received and not sold; 0 for all when exactly the needed stock was brought, once. */
  leftOver(): number[] {
    return [...new Set(this.stock.values())];
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const path = request.url ?? '';
    this.requests.push(`${request.method} ${path}`);
    this.onRequest(path);
    const fault = this.fault(this.requests.length, path);
    if (fault === 'reset') return void response.socket?.destroy();
    if (fault !== null && typeof fault === 'object') {
      const headers = fault.retryAfterS === undefined ? {} : { 'retry-after': String(fault.retryAfterS) };
      return void response
        .writeHead(fault.status, headers)
        .end(JSON.stringify(problem(fault.status, 'faulty').body));
    }
    const body = parts.length === 0 ? {} : (JSON.parse(Buffer.concat(parts).toString()) as Body);
    const { reply, replayed } = this.#answer(request, path, body);
    if (fault === 'reset after the effect') return void response.socket?.destroy();
    if (fault === 'slow') await new Promise((resolve) => setTimeout(resolve, 20));
    const headers = this.tellsReplays ? { 'idempotency-replayed': String(replayed) } : {};
    response.writeHead(reply.status, headers).end(JSON.stringify(reply.body));
  }

  #answer(request: IncomingMessage, path: string, body: Body): { reply: Reply; replayed: boolean } {
    if (request.headers.authorization !== `Bearer ${this.token}`) {
      return { reply: problem(401, 'invalid-token'), replayed: false };
    }
    if (request.method === 'GET') return { reply: this.#read(path), replayed: false };
    const key = `${path} ${request.headers['idempotency-key']}`;
    const asked = JSON.stringify(body);
    const known = this.#answers.get(key);
    if (known !== undefined) {
      return known.asked === asked
        ? { reply: known.reply, replayed: true }
        : { reply: problem(422, 'idempotency-key-reused'), replayed: false };
    }
    assert.match(String(request.headers['idempotency-key']), /^[\x21-\x7e]{1,128}$/);
    const reply = this.#write(path, body);
    this.#answers.set(key, { asked, reply });
    return { reply, replayed: false };
  }

  #write(path: string, body: Body): Reply {
    if (path === '/users') {
      const country = body['country'] as string;
      const region = { US: 'us-east', JP: 'us-west', HK: 'us-west' }[country] ?? 'eu-west';
      const id = this.#id('acc');
      this.accounts.set(id, { name: body['name'] as string, country, region });
      return { status: 201, body: { id, region } };
    }
    if (path === '/products') {
      const { sku, name, price } = body as { sku: string; name: string; price: { amount: string } };
      if ([...this.products.values()].some((product) => product.sku === sku))
        return problem(409, 'already-exists');
      parseAmount(price.amount, 2, '/body/price');
      const id = this.#id('prd');
      this.products.set(id, { sku, name, price: price.amount });
      return { status: 201, body: { id } };
    }
    const product = /^\/products\/([^/]+)\/stock$/.exec(path)?.[1];
    if (product !== undefined) {
      const place = `${product} ${body['region']}`;
      this.stock.set(place, (this.stock.get(place) ?? 0) + (body['quantity'] as number));
      return { status: 201, body: {} };
    }
    assert.equal(path, '/orders');
    return this.#order(body as unknown as OrderRequest);
  }

  #order(request: OrderRequest): Reply {
    assert.ok((request.customer === undefined) === (request.guest === true));
    const region = request.guest
      ? (request.region as string)
      : this.accounts.get(request.customer as string)?.region;
    assert.ok(region !== undefined);
    for (const { unit_price: price } of request.lines)
      parseAmount(price.amount, request.decimals ?? 2, '/body/lines');
    const places = request.lines.map(({ product, quantity }) => ({
      place: `${product} ${region}`,
      quantity,
    }));
    const left = new Map(places.map(({ place }) => [place, this.stock.get(place) ?? 0]));
    for (const { place, quantity } of places) left.set(place, (left.get(place) as number) - quantity);
    const isShort = [...left.values()].some((quantity) => quantity < 0);
    if (!isShort) for (const [place, quantity] of left) this.stock.set(place, quantity);
    const id = this.#id('ord');
    const order = { request, region, status: 'placed', reason: isShort ? 'insufficient-stock' : '' };
    this.orders.set(id, order);
    setTimeout(() => (order.status = isShort ? 'rejected' : 'confirmed'), 5);
    return { status: 201, body: { id, status: 'placed' } };
  }

  #read(path: string): Reply {
    if (path.startsWith('/orders/reports/revenue')) return { status: 200, body: { rows: this.#revenue() } };
    const [, things, id = ''] = path.split('/');
    if (things?.startsWith('products?')) {
      const items = [...this.products].map(([productId, { sku }]) => ({ id: productId, sku }));
      const from = Number(new URLSearchParams(things.slice(9)).get('after') ?? 0);
      return {
        status: 200,
        body: { items: items.slice(from, from + 2), next: from + 2 < items.length ? `${from + 2}` : null },
      };
    }
    const order = this.orders.get(id);
    if (order !== undefined) return { status: 200, body: { id, status: order.status, reason: order.reason } };
    return this.accounts.has(id) || this.products.has(id)
      ? { status: 200, body: { id } }
      : problem(404, 'not-found');
  }

  #revenue(): Body[] {
    const sums = new Map<string, { e4: bigint; orders: number }>();
    for (const { request, status } of this.orders.values()) {
      if (status !== 'confirmed') continue;
      const sum = sums.get(request.country) ?? { e4: 0n, orders: 0 };
      for (const { unit_price: price, quantity } of request.lines) {
        sum.e4 += BigInt(parseAmount(price.amount, DECIMALS_MAX, '')) * BigInt(quantity);
      }
      sum.orders += 1;
      sums.set(request.country, sum);
    }
    return [...sums].map(([country, { e4, orders }]) => ({
      country,
      currency: 'GBP',
      revenue: formatAmount(e4, 2),
      orders,
    }));
  }

  #id(type: string): string {
    this.#ids += 1;
    return `${type}_${this.#ids}`;
  }
}

const HEADER = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country';
/** Nine sellable rows in six invoices of three customers and two guests, over three regions; five others. */
const ROWS = [
  '536365,85123A,"HOLDER, WHITE",6,2010-12-01 08:26:00,2.55,17850,United Kingdom',
  '536365,85123a,HOLDER CREAM,2,2010-12-01 08:26:00,2.1,17850,United Kingdom',
  '536366,85123A,"HOLDER, WHITE",1,2010-12-01 08:28:00,0.001,12583,France',
  'C536367,85123A,"HOLDER, WHITE",-1,2010-12-01 08:30:00,2.55,17850,United Kingdom',
  '536368,POST,POSTAGE,3,2010-12-01 08:34:00,18,12583,France',
  '536368,POST,POSTAGE,1,2010-12-01 08:34:00,18,12583,France',
  '536369,85123A,damaged,-3,2010-12-01 08:35:00,0,NA,United Kingdom',
  '536370,BANK CHARGES,Bank £ charges,1,2010-12-01 08:45:00,15.00,NA,USA',
  '536371,85123A,"HOLDER, WHITE",10,2010-12-01 09:00:00,2.55,12646,USA',
  '536370,POST,POSTAGE,1,2010-12-01 09:01:00,18,NA,USA',
  '536372,POST,POSTAGE,1,2010-12-01 09:02:00,20,NA,Hong Kong',
  '536373,POST,POSTAGE,1,2010-12-01,free,12646,USA',
  '536374,POST,POSTAGE,1',
  '536375,POST,"POSTAGE,1,2010-12-01 09:02:00,20,NA,USA',
];
const CSV = `${HEADER}\r\n${ROWS.join('\r\n')}\r\n`;

let files = 0;
function fileOf(content: string | Uint8Array, suffix = '.csv'): string {
  files += 1;
  const path = join(folder, `file-${files}${suffix}`);
  writeFileSync(path, content);
  return path;
}

const sink = { write() {} };
const quick = {
  backoffMsMin: 1,
  backoffMsMax: 5,
  patienceMs: 5_000,
  pollMs: 5,
  quietMs: 100,
  silenceMs: 2_000,
};

async function bring(shop: StubShop, options: Partial<ImportOptions> = {}): Promise<ImportSummary> {
  return importRetail({
    file: fileOf(CSV),
    api: shop.address,
    token: 'staff',
    concurrency: 4,
    json: true,
    stdout: sink,
    stderr: sink,
    data: join(folder, `data-${files}`),
    bounds: quick,
    ...options,
  });
}

async function withShop(work: (shop: StubShop) => Promise<void>): Promise<void> {
  const shop = await new StubShop().open();
  try {
    await work(shop);
  } finally {
    await shop.close();
  }
}

function assertComplete(shop: StubShop, summary: ImportSummary): void {
  assert.equal(summary.complete, true, JSON.stringify(summary, null, 1));
  assert.equal(summary.revenue?.equal, true);
  assert.equal(summary.revenue?.file, '170.001');
  assert.equal(shop.orders.size, 6);
  assert.equal(shop.accounts.size, 4);
  assert.deepEqual(shop.leftOver(), [0]);
}

describe('importRetail', () => {
  test('brings every sellable invoice, exactly', () =>
    withShop(async (shop) => {
      const summary = await bring(shop);
      assertComplete(shop, summary);
      assert.deepEqual(summary.rows, { read: 14, sellable: 9, rejected: 5 });
      assert.deepEqual(summary.invoices, { regular: 8, sellable: 6, cancellations: 1 });
      assert.deepEqual(
        Object.entries(summary.rejections).map(([reason, { count, examples }]) => [
          reason,
          count,
          examples[0]?.line,
        ]),
        [
          ['cancellation', 1, 5],
          ['quantity-not-positive', 1, 8],
          ['bad-price', 1, 13],
          ['columns', 1, 14],
          ['quotes', 1, 15],
        ],
      );
      const byReference = new Map([...shop.orders.values()].map((order) => [order.request.reference, order]));
      const first = byReference.get('536365')?.request;
      assert.deepEqual(
        first?.lines.map(({ quantity, unit_price: { amount } }) => `${quantity} × ${amount}`),
        ['6 × 2.55', '2 × 2.1'],
      );
      assert.equal(first?.placed_at, '2010-12-01T08:26:00.000Z');
      assert.equal(first?.decimals, undefined);
      assert.equal(byReference.get('536366')?.request.decimals, 3);
      assert.deepEqual([...byReference.values()].map(({ region }) => region).sort(), [
        'eu-west',
        'eu-west',
        'eu-west',
        'us-east',
        'us-east',
        'us-west',
      ]);
      assert.deepEqual(
        [...shop.products.values()].map(({ sku, name, price }) => `${sku} ${name} ${price}`).sort(),
        [
          '85123A HOLDER, WHITE 2.55',
          '85123a HOLDER CREAM 2.10',
          'BANK CHARGES Bank £ charges 15.00',
          'POST POSTAGE 20.00',
        ],
      );
    }));

  test('a second run places nothing: by the journal with hardly a request, by the keys alone without it', () =>
    withShop(async (shop) => {
      const file = fileOf(CSV);
      const data = join(folder, 'twice');
      assertComplete(shop, await bring(shop, { file, data }));
      assert.match(readdirSync(data).join(), /^import-[0-9a-f]{16}\.jsonl$/);

      shop.requests.length = 0;
      const again = await bring(shop, { file, data });
      assertComplete(shop, again);
      assert.deepEqual(again.orders.known, 6);
      assert.deepEqual(again.orders.created, 0);
      assert.deepEqual(
        shop.requests.map((line) => line.split(' ')[0]),
        ['GET', 'GET'],
      );

      shop.requests.length = 0;
      const byKeys = await bring(shop, { file, data, journal: false });
      assertComplete(shop, byKeys);
      assert.deepEqual([byKeys.orders.known, byKeys.orders.created, byKeys.stock.created], [6, 0, 0]);
      assert.ok(shop.requests.length > 20);
    }));

  test('what a platform does not say is not claimed', () =>
    withShop(async (shop) => {
      shop.tellsReplays = false;
      let text = '';
      const options = { file: fileOf(CSV), journal: false as const };
      await bring(shop, options);
      const stdout = { write: (part: string) => (text += part) };
      const again = await bring(shop, { ...options, json: false, stdout });
      assertComplete(shop, again);
      assert.deepEqual([again.orders.created, again.orders.known, again.orders.unclear], [0, 0, 6]);
      assert.match(text, /^orders {5}6 placed now or by an earlier run$/m);
    }));

  test('gzip is read as it is, and is the same import', () =>
    withShop(async (shop) => {
      const plain = await bring(shop);
      const packed = await bring(shop, { file: fileOf(gzipSync(CSV), '.csv.gz'), journal: false });
      assert.equal(packed.digest, plain.digest);
      assertComplete(shop, packed);
    }));

  test('faults of every kind cost attempts, nothing else', () =>
    withShop(async (shop) => {
      const faults: readonly Fault[] = [
        { status: 503 },
        'reset',
        null,
        'reset after the effect',
        { status: 429, retryAfterS: 0 },
        'slow',
        null,
        { status: 502 },
      ];
      shop.fault = (count) => faults[count % faults.length] ?? null;
      const summary = await bring(shop);
      assertComplete(shop, summary);
      assert.ok(summary.retries > 10);
    }));

  test('a platform that stays away ends the import, and a later run brings the rest', () =>
    withShop(async (shop) => {
      const options = {
        file: fileOf(CSV),
        data: join(folder, 'away'),
        concurrency: 2,
        bounds: { ...quick, patienceMs: 40 },
      };
      shop.fault = (_, path) => (path === '/orders' && shop.orders.size >= 2 ? { status: 503 } : null);
      const first = await bring(shop, options);
      assert.equal(first.complete, false);
      assert.match(first.stopped ?? '', /did not answer 4 requests in time; the last was order 5363/);
      assert.deepEqual([first.orders.created, first.orders.failed], [2, 4]);
      shop.fault = () => null;
      const second = await bring(shop, options);
      assertComplete(shop, second);
      assert.deepEqual([second.orders.known, second.orders.created, second.stock.created], [2, 4, 0]);
    }));

  test('one order that fails does not hold up the others, and is listed', () =>
    withShop(async (shop) => {
      const bounds = { ...quick, patienceMs: 40 };
      const report = join(folder, 'failed.json');
      let isBroken = true;
      shop.fault = (_, path) => {
        const hit =
          isBroken &&
          path.startsWith('/products/prd_') &&
          path === `/products/${skuId(shop, 'BANK CHARGES')}/stock`;
        return hit ? { status: 503 } : null;
      };
      const file = fileOf(CSV);
      const summary = await bring(shop, { file, bounds, report, journal: false });
      assert.equal(summary.complete, false);
      assert.equal(summary.stopped, null);
      assert.deepEqual([summary.orders.created, summary.orders.failed, summary.stock.failed], [5, 1, 1]);
      const reported = JSON.parse(readFileSync(report, 'utf8')) as {
        reason: string;
        invoice: string;
        detail: string;
      }[];
      assert.equal(reported.length, 7);
      assert.deepEqual(
        reported
          .filter(({ reason }) => reason === 'left-out')
          .map(({ invoice, detail }) => [invoice, detail]),
        [['536370', 'order 536370: stock of BANK CHARGES in us-east is missing']],
      );
      assert.equal(summary.revenue?.countries.find(({ country }) => country === 'USA')?.verdict, 'less');
      isBroken = false;
      assertComplete(shop, await bring(shop, { file, journal: false }));
    }));

  test('a journal with a torn line is gone on with', () =>
    withShop(async (shop) => {
      const file = fileOf(CSV);
      const journal = join(folder, 'torn.jsonl');
      await bring(shop, { file, journal });
      const lines = readFileSync(journal, 'utf8').trimEnd().split('\n');
      const kept = lines.slice(0, -4);
      writeFileSync(journal, `${kept.join('\n')}\n${lines.at(-4)?.slice(0, 20)}`);
      const again = await bring(shop, { file, journal });
      assertComplete(shop, again);
      const after = readFileSync(journal, 'utf8').trimEnd().split('\n');
      assert.deepEqual(after.slice(0, kept.length), kept);
      assert.ok(after.slice(kept.length + 1).every((line) => typeof JSON.parse(line) === 'object'));
      appendFileSync(journal, 'null\n[]\n{"key":7}\n');
      assertComplete(shop, await bring(shop, { file, journal }));
    }));

  test('a journal of another platform under the same address is dropped', () =>
    withShop(async (shop) => {
      const file = fileOf(CSV);
      const journal = join(folder, 'stale.jsonl');
      writeFileSync(journal, '{"key":"retail-invoice-536365","id":"ord_999"}\n{"settled":true}\n');
      let notes = '';
      assertComplete(
        shop,
        await bring(shop, { file, journal, json: false, stderr: { write: (text) => (notes += text) } }),
      );
      assert.match(notes, /tells of another platform \(this one does not know ord_999\)/);
    }));

  test('the user ends it: what is under way is kept, the next run goes on', () =>
    withShop(async (shop) => {
      const options = { file: fileOf(CSV), data: join(folder, 'ended'), concurrency: 1 };
      const ended = new AbortController();
      shop.onRequest = (path) => {
        if (path === '/orders' && shop.orders.size === 2) ended.abort();
      };
      let text = '';
      const first = await bring(shop, {
        ...options,
        signal: ended.signal,
        json: false,
        stdout: { write: (part) => (text += part) },
      });
      assert.deepEqual([first.stopped, first.complete, first.orders.created], ['interrupted', false, 3]);
      assert.match(text, /Stopped: interrupted\.\nRun the same command again to go on/);
      shop.onRequest = () => {};
      const second = await bring(shop, options);
      assertComplete(shop, second);
      assert.deepEqual([second.orders.known, second.orders.created], [3, 3]);
    }));

  test('products that exist already are found by the catalogue', () =>
    withShop(async (shop) => {
      shop.products.set('prd_a', { sku: 'other', name: 'other', price: '1.00' });
      shop.products.set('prd_b', { sku: 'other too', name: 'other', price: '1.00' });
      shop.products.set('prd_c', { sku: '85123A', name: 'theirs', price: '9.00' });
      const summary = await bring(shop);
      assertComplete(shop, summary);
      assert.deepEqual([summary.products.created, summary.products.known], [3, 1]);
    }));

  test('an order that the shop rejects is listed with its reason', () =>
    withShop(async (shop) => {
      shop.onRequest = (path) => {
        if (path === '/orders') shop.stock.set(`${skuId(shop, 'POST')} us-west`, 0);
      };
      const summary = await bring(shop);
      assert.equal(summary.complete, false);
      assert.equal(summary.orders.confirmed, 5);
      assert.deepEqual(
        summary.orders.unconfirmed.map(({ invoice, status, reason }) => [invoice, status, reason]),
        [['536372', 'rejected', 'insufficient-stock']],
      );
      const less = summary.revenue?.countries.filter(({ verdict }) => verdict !== 'equal');
      assert.deepEqual(
        less?.map(({ country, verdict, platform }) => [country, verdict, platform]),
        [['Hong Kong', 'less', null]],
      );
    }));

  test('an order that was cancelled after its confirmation is found, whatever the journal remembers', () =>
    withShop(async (shop) => {
      const options = { file: fileOf(CSV), data: join(folder, 'cancelled') };
      assertComplete(shop, await bring(shop, options));
      const order = [...shop.orders.values()].find(({ request }) => request.reference === '536371');
      assert.ok(order !== undefined);
      order.status = 'cancelled';
      const again = await bring(shop, options);
      assert.deepEqual([again.complete, again.orders.confirmed, again.orders.created], [false, 5, 0]);
      assert.deepEqual(
        again.orders.unconfirmed.map(({ invoice, status }) => [invoice, status]),
        [['536371', 'cancelled']],
      );
    }));

  test('without a revenue report each order is asked for', () =>
    withShop(async (shop) => {
      shop.fault = (_, path) => (path.startsWith('/orders/reports') ? { status: 404 } : null);
      const summary = await bring(shop);
      assert.deepEqual([summary.complete, summary.orders.confirmed, summary.revenue], [true, 6, null]);
      assert.match(summary.revenue_problem, /^faulty: stub/);
    }));

  test('other orders on the platform are told apart from missing ones', () =>
    withShop(async (shop) => {
      await bring(shop, { file: fileOf(`${HEADER}\n9,POST,POSTAGE,1,2010-12-01 08:26:00,20,12646,USA\n`) });
      const summary = await bring(shop, { file: fileOf(CSV) });
      assert.equal(summary.complete, true);
      assert.equal(summary.revenue?.equal, false);
      assert.deepEqual(
        summary.revenue?.countries
          .filter(({ verdict }) => verdict !== 'equal')
          .map(({ country, verdict }) => [country, verdict]),
        [['USA', 'more']],
      );
    }));

  test('a limit brings the first invoices; the full import then adds the others', () =>
    withShop(async (shop) => {
      const file = fileOf(CSV);
      const part = await bring(shop, { file, limit: 2 });
      assert.equal(part.complete, true);
      assert.deepEqual([shop.orders.size, shop.accounts.size, shop.products.size], [2, 2, 2]);
      const all = await bring(shop, { file });
      assert.equal(all.complete, true);
      assert.deepEqual([all.orders.created, all.orders.known, shop.orders.size], [4, 2, 6]);
    }));

  test('rows that are not UTF-8 are reported by their line; the others go on', () =>
    withShop(async (shop) => {
      const bad = Buffer.from('9,POST,£,1,2010-12-01 08:26:00,20,NA,USA\n', 'latin1');
      const report = join(folder, 'encoding.csv');
      const summary = await bring(shop, { file: fileOf(Buffer.concat([Buffer.from(CSV), bad])), report });
      assertComplete(shop, summary);
      assert.match(
        readFileSync(report, 'utf8'),
        /^line,invoice,reason,detail\n[\s\S]*\n16,,encoding,the bytes are not UTF-8\n$/,
      );
    }));

  test('a token that is not accepted ends it at once', () =>
    withShop(async (shop) => {
      const summary = await bring(shop, { token: 'no' });
      assert.match(summary.stopped ?? '', /does not accept the token: stub: invalid-token/);
      assert.ok(shop.requests.length <= 4);
    }));
});

const skuId = (shop: StubShop, sku: string): string | undefined =>
  [...shop.products].find(([, product]) => product.sku === sku)?.[0];
