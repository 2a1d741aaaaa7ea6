/** The traffic of a drill: a few dozen requests a second of every class of keys, on struck keys and on others. */
import type { Host, Timer } from 'cardume/host';
import type { RegionName } from 'cardume/topology';
import type { Call } from '../api.ts';
import type { Clients } from './clients.ts';
import type { Keys } from './keys.ts';
import type { WriteKind } from './record.ts';
import type { Customer, Product, Stage } from './stage.ts';

/** A write that was acknowledged, and how it is found again. */
export interface AckedWrite {
  readonly request: number;
  readonly kind: WriteKind;
  readonly affected: boolean;
  readonly ackedMs: number;
  readonly what: string;
  readonly again: ReadBack;
}

export type ReadBack =
  | { readonly by: 'row'; readonly path: string }
  /** The same request once more, which must be answered by memory. */
  | { readonly by: 'replay'; readonly call: Call }
  /** The account is there, and nobody else can have its e-mail. */
  | { readonly by: 'account'; readonly id: string; readonly email: string; readonly country: string };

export interface Traffic {
  readonly acked: readonly AckedWrite[];
  /** Requests that were due and left out. */
  readonly skipped: number;
  /** No further request. Resolves when none is under way; whoever ends early need not wait. */
  stop(): Promise<void>;
}

export interface TrafficOptions {
  readonly host: Host;
  readonly clients: Clients;
  readonly keys: Keys;
  readonly stage: Stage;
  readonly regions: readonly RegionName[];
  /** Whether the fault strikes what is at home there. */
  readonly isStruck: (home: RegionName) => boolean;
  readonly nowMs: () => number;
}

interface Sort {
  /** Requests. */
  readonly perSecond: number;
  readonly begin: () => Promise<void>;
}

const TICK_MS = 20;
const UNDER_WAY_MAX = 400;
/** All of them are kept, and stand in the report: beyond it traffic ends. */
const ATTEMPTS_MAX = 200_000;

export function beginTraffic(options: TrafficOptions): Traffic {
  const { host, clients, keys, stage, regions, isStruck, nowMs } = options;
  const { clock, random } = host;
  const acked: AckedWrite[] = [];
  let skipped = 0;
  let timer: Timer | null = null;

  const oneOf = <T>(items: readonly T[]): T => items[Math.floor(random.fraction() * items.length)] as T;
  const struck = regions.filter(isStruck);
  const others = regions.filter((region) => !isStruck(region));
  /** Homes for a sort of requests; null: there are none such. */
  const homes = (affected: boolean): readonly RegionName[] => (affected ? struck : others);

  async function write(
    kind: WriteKind,
    affected: boolean,
    call: Call,
    again: (body: { readonly id: string }) => ReadBack,
  ): Promise<void> {
    const keyed = { ...call, key: keys.unique() };
    const { request, answered } = await clients.send({ kind, affected, call: keyed });
    if (answered === null || answered.status >= 300) return;
    const body = answered.body as { readonly id: string };
    const back = kind === 'stock' ? ({ by: 'replay', call: keyed } as const) : again(body);
    acked.push({ request, kind, affected, ackedMs: nowMs(), what: body.id ?? keyed.key, again: back });
  }

  async function read(affected: boolean, call: Omit<Call, 'method'>): Promise<void> {
    await clients.send({ kind: 'read', affected, call: { method: 'GET', ...call } });
  }

  const customerOf = (region: RegionName): Customer =>
    oneOf(stage.customers.filter((customer) => customer.region === region));
  const productOf = (home: RegionName): Product =>
    oneOf(stage.products.filter((product) => product.home === home));

  const order = (affected: boolean) => async () => {
    const { headers } = customerOf(oneOf(homes(affected)));
    const lines = [{ product: oneOf(stage.products).id, quantity: 1 }];
    const body = { lines, payment: { method: 'card', token: 'tok_approve' } };
    await write('order', affected, { method: 'POST', path: '/orders', headers, body }, ({ id }) => ({
      by: 'row',
      path: `/orders/${id}`,
    }));
  };
  const account = (affected: boolean) => async () => {
    const country = keys.countryOf(oneOf(homes(affected)));
    const body = { name: 'Drill', country };
    await write('user', affected, { method: 'POST', path: '/users', body }, ({ id }) => ({
      by: 'row',
      path: `/users/${id}`,
    }));
  };
  const receipt = (affected: boolean) => async () => {
    const region = oneOf(homes(affected));
    const path = `/products/${oneOf(stage.products).id}/stock`;
    await write('stock', affected, { method: 'POST', path, body: { region, quantity: 1 } }, ({ id }) => ({
      by: 'row',
      path: `/products/${id}`,
    }));
  };
  /** The account is of a region that stands, where there is one: only the claim is struck. */
  const registration = (affected: boolean) => async () => {
    const email = keys.email(oneOf(homes(affected)));
    const country = keys.countryOf(oneOf(others.length === 0 ? struck : others));
    const body = { name: 'Drill', country, email };
    await write('claim', affected, { method: 'POST', path: '/users', body }, ({ id }) => ({
      by: 'account',
      id,
      email,
      country,
    }));
  };
  const listing = (affected: boolean) => async () => {
    const sku = keys.sku(oneOf(homes(affected)));
    const price = { amount: '1.25', currency: 'EUR' };
    const body = { sku, name: `Drill ${sku}`, category: 'drill', price };
    await write('product', affected, { method: 'POST', path: '/products', body }, ({ id }) => ({
      by: 'row',
      path: `/products/${id}`,
    }));
  };
  const page = (affected: boolean) => () =>
    read(affected, { path: `/products/${productOf(oneOf(homes(affected))).id}` });
  const list = (affected: boolean) => () => {
    const { headers } = customerOf(oneOf(homes(affected)));
    return read(affected, { path: '/orders?limit=5', headers });
  };
  const row = (affected: boolean) => async () => {
    const known = acked.filter((one) => one.kind === 'order' && one.affected === affected).at(-1);
    if (known !== undefined) await read(affected, { path: `/orders/${known.what}` });
  };
  const catalogue = () => read(struck.length > 0, { path: '/products?category=drill&limit=10' });

  /** Of what is struck more often: it is what is measured. */
  const sorts: Sort[] = [
    ...(struck.length === 0 ? [] : sortsOf(true, [6, 3, 3, 2, 2, 2, 1, 1])),
    ...(others.length === 0 ? [] : sortsOf(false, [3, 1, 1, 1, 1, 2, 1, 1])),
    { perSecond: 1, begin: catalogue },
  ];
  function sortsOf(affected: boolean, rates: readonly number[]): Sort[] {
    const makers = [order, account, receipt, registration, listing, page, list, row];
    return makers.map((make, i) => ({ perSecond: rates[i] as number, begin: make(affected) }));
  }

  const due = sorts.map(() => random.fraction());
  let lastMs = clock.monotonicMs();
  const tick = (): void => {
    const now = clock.monotonicMs();
    for (const [i, { perSecond, begin }] of sorts.entries()) {
      due[i] = (due[i] as number) + ((now - lastMs) / 1_000) * perSecond;
      for (; (due[i] as number) >= 1; due[i] = (due[i] as number) - 1) {
        if (clients.underWay >= UNDER_WAY_MAX || clients.attempts.length >= ATTEMPTS_MAX) skipped += 1;
        else void begin();
      }
    }
    lastMs = now;
    timer = clock.after(TICK_MS, tick);
  };
  tick();
  return {
    acked,
    get skipped() {
      return skipped;
    },
    stop() {
      timer?.cancel();
      return clients.idle();
    },
  };
}
