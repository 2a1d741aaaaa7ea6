import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import house from '../../../cardume.config.ts';
import type { Partition } from '../topology/partition.ts';
import { HOMES, keyOfHome, openHomes } from './homes.ts';

const born: Partition = { service: 'orders', scope: 1, partition: 3 };
const key = keyOfHome(born);
const value = (region: string, term: number): string => JSON.stringify({ region, term });

test('homes are the topology’s until the coordinator says otherwise, and terms never go back', () => {
  const homes = openHomes(house);
  deepStrictEqual(homes.find(born), { region: 'us-east', term: 0, revision: 0 });
  strictEqual(homes.partitionsOf('orders', 'us-east').length, 16);

  deepStrictEqual(homes.learn([{ key, value: value('eu-west', 1), revision: 7 }]), [born]);
  strictEqual(homes.homeOf(born), 'eu-west');
  strictEqual(homes.bornIn(born), 'us-east');
  strictEqual(homes.partitionsOf('orders', 'us-east').length, 15);
  strictEqual(homes.partitionsOf('orders', 'eu-west').length, 17);
  strictEqual(homes.shardOf(born), 'orders-0');

  deepStrictEqual(homes.learn([{ key, value: value('eu-west', 1), revision: 7 }]), []);
  deepStrictEqual(homes.learn([{ key, value: value('us-east', 0), revision: 6 }]), []);
  deepStrictEqual(homes.learn([{ key, value: null, revision: 9 }]), []);
  deepStrictEqual(
    homes.learn([{ key: `${HOMES}orders/99999`, value: value('us-west', 4), revision: 9 }]),
    [],
  );
  deepStrictEqual(homes.find(born), { region: 'eu-west', term: 1, revision: 7 });
});

test('a home that goes on in a later term has changed, though its region has not', () => {
  const homes = openHomes(house);
  deepStrictEqual(homes.learn([{ key, value: value('us-east', 1), revision: 3 }]), [born]);
  deepStrictEqual(homes.find(born), { region: 'us-east', term: 1, revision: 3 });
});
