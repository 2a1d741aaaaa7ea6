/**
 * What a newcomer finds in the shop: a small invented catalogue with stock in every region, and one customer. All goes
 * through the public API, under idempotency keys, so that a start that was cut short is completed by the next one.
 */
import { join } from 'node:path';
import type { Host } from 'cardume/host';
import { openApi } from '../api.ts';
import { Failure } from '../failure.ts';
import { openPatience } from '../retail/patience.ts';

export const DEMO_CUSTOMER = {
  email: 'ana@example.com',
  password: 'many-small-fish',
  name: 'Ana Souza',
  country: 'BR',
};

/** SKU, name, category, price in GBP. */
const PRODUCTS: readonly (readonly [sku: string, name: string, category: string, price: string])[] = [
  ['MUG-SHOAL', 'Mug, a shoal at dawn', 'kitchen', '9.50'],
  ['BOWL-TIDE', 'Bowl, the tide line', 'kitchen', '14.00'],
  ['JUG-GULL', 'Jug with a gull', 'kitchen', '22.75'],
  ['TOWEL-REEF', 'Tea towel, reef', 'kitchen', '7.20'],
  ['LAMP-BUOY', 'Lamp in the shape of a buoy', 'home', '48.00'],
  ['RUG-DUNE', 'Rug, dune grass', 'home', '129.00'],
  ['CLOCK-SWELL', 'Clock that shows the swell', 'home', '64.90'],
  ['PRINT-CHART', 'Print of a sea chart', 'paper', '18.00'],
  ['CARDS-SHELL', 'Twelve cards, shells', 'paper', '6.40'],
  ['NOTES-KELP', 'Notebook, kelp', 'paper', '5.95'],
  ['KITE-RAY', 'Kite, a manta ray', 'play', '31.00'],
  ['BOAT-CORK', 'Boat of cork', 'play', '12.30'],
];
const CURRENCY = 'GBP';
const PIECES_PER_REGION = 1_000;

export interface Demo {
  /** Ids by SKU. They are digests of the SKU, hence the same in every installation. */
  readonly products: Readonly<Record<string, string>>;
}

/** @throws Failure when the API does not take it */
export async function seedDemo(args: {
  readonly host: Host;
  /** Where the API answers. */
  readonly url: string;
  readonly staffToken: () => Promise<string>;
  readonly regions: readonly string[];
  readonly dataFolder: string;
}): Promise<Demo> {
  const { host, regions } = args;
  const path = join(args.dataFolder, 'demo.json');
  const known = await host.disk.read(path);
  if (known !== null) return JSON.parse(Buffer.from(known).toString()) as Demo;

  const api = openApi(args.url, await args.staffToken(), 16, 15_000);
  const never = new AbortController();
  const bounds = { patienceMs: 10_000, backoffMsMin: 50, backoffMsMax: 500, brokenAttemptsMax: 3 };
  const patience = openPatience({
    api,
    clock: host.clock,
    random: host.random,
    signal: never.signal,
    bounds,
  });

  /** @param known codes that mean: it is there already */
  const post = async (to: string, key: string, body: unknown, there: string): Promise<unknown> => {
    const outcome = await patience.send({ method: 'POST', path: to, key: `demo/${key}`, body });
    if (outcome.kind === 'done') return outcome.body;
    if (outcome.kind === 'refused' && outcome.code === there) return null;
    const why = outcome.kind === 'stopped' ? 'stopped' : `${outcome.code}: ${outcome.detail}`;
    throw new Failure(`The demonstration catalogue could not be made: POST ${to} got ${why}`);
  };

  const product = async ([sku, name, category, price]: (typeof PRODUCTS)[number]): Promise<
    [string, string]
  > => {
    const body = {
      sku,
      name,
      category,
      price: { amount: price, currency: CURRENCY },
      description: `${name}. Invented for the demonstration.`,
      pictures: [`https://example.com/pictures/${sku.toLowerCase()}.jpg`],
    };
    const made = (await post('/products', `product/${sku}`, body, '')) as { id: string };
    await Promise.all(
      regions.map((region) =>
        post(
          `/products/${made.id}/stock`,
          `stock/${sku}/${region}`,
          { region, quantity: PIECES_PER_REGION },
          '',
        ),
      ),
    );
    return [sku, made.id];
  };

  try {
    const [products] = await Promise.all([
      Promise.all(PRODUCTS.map(product)),
      post('/users', 'customer', DEMO_CUSTOMER, 'email-taken'),
    ]);
    const demo: Demo = { products: Object.fromEntries(products) };
    await host.disk.write(path, `${JSON.stringify(demo, null, 2)}\n`);
    return demo;
  } finally {
    api.close();
  }
}
