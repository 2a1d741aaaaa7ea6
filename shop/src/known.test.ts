import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { naturalId } from 'cardume/base/id';
import type { Bus } from 'cardume/cqrs/bus';
import { Known } from './orders/known.ts';
import { product as definition, products } from './products/product.ts';
import { service } from './products/products.ts';
import { Rehearsal, stage } from './rehearsal.ts';
import { account, accounts } from './users/account.ts';
import { service as users } from './users/users.ts';

const bytes = new Uint8Array(16);
const heart = naturalId(definition.idType, stage.placeInGlobal('products', 'heart'), bytes);
const anna = naturalId(account.idType, stage.placeInRegion('users', 'north', 'anna'), bytes);

test('an offer is known for five seconds, what is not for sale is never offered', async () => {
  const play = new Rehearsal([service]);
  const known = new Known();
  const offer = () => known.offer(heart, play.bus, play.nowMs);
  deepStrictEqual(await offer(), null);
  const listed = {
    name: 'Heart',
    description: '',
    category: 'gifts',
    pictures: [],
    price_e4: 25_500,
    currency: 'GBP',
  };
  play.now(products, heart, { type: 'List', sku: 'heart', ...listed });
  const first = { sku: 'heart', priceE4: 25_500, currency: 'GBP', withdrawn: false };
  deepStrictEqual(await offer(), first);
  play.now(products, heart, { type: 'Change', price_e4: 30_000 });
  play.nowMs += 4_999;
  deepStrictEqual(await offer(), first);
  play.nowMs += 1;
  deepStrictEqual(await offer(), { ...first, priceE4: 30_000 });
  play.now(products, heart, { type: 'Withdraw' });
  play.nowMs += 5_000;
  deepStrictEqual(await offer(), null);
});

test('an offer that is wanted often is asked for anew before it is too old, and nobody waits for that', async () => {
  const play = new Rehearsal([service]);
  let isAway = false;
  const bus = { ...play.bus, load: ((...asked) => (isAway ? hung : play.bus.load(...asked))) as Bus['load'] };
  const hung = new Promise<never>(() => undefined);
  const known = new Known();
  const priceAfter = async (ms: number): Promise<number | undefined> => {
    play.nowMs += ms;
    return (await known.offer(heart, bus, play.nowMs))?.priceE4;
  };
  const listed = { name: 'Heart', description: '', category: 'gifts', pictures: [], currency: 'GBP' };
  play.now(products, heart, { type: 'List', sku: 'heart', price_e4: 25_500, ...listed });
  deepStrictEqual(await priceAfter(0), 25_500);
  play.now(products, heart, { type: 'Change', price_e4: 30_000 });
  deepStrictEqual(await priceAfter(2_500), 25_500);
  deepStrictEqual(await priceAfter(1), 30_000);
  isAway = true;
  deepStrictEqual(await priceAfter(4_998), 30_000);
});

test('a customer’s country is known once the account exists', async () => {
  const play = new Rehearsal([users]);
  const known = new Known();
  deepStrictEqual(await known.country(anna, play.bus), null);
  play.now(accounts, anna, { type: 'Register', role: 'customer', country: 'NO', name: 'Anna' });
  deepStrictEqual(await known.country(anna, play.bus), 'NO');
});
