import assert from 'node:assert/strict';
import { test } from 'node:test';
import house from '../../../cardume.config.ts';
import { moved } from '../configuration.ts';
import { banner } from './banner.ts';

test('the banner names every address with the ports in use, and the commands bear them too', () => {
  const text = banner({
    url: 'http://127.0.0.1:18080',
    topology: moved(house, 18_080),
    regions: Object.keys(house.regions),
    dataFolder: '/data',
    demo: { products: { MUG: 'prd_0aa_1', BOWL: 'prd_0aa_2' } },
  });
  for (const part of [
    '18080/docs',
    '127.0.0.1:18081',
    '  dig @127.0.0.1 -p 18053 shop.cardume.test TXT +short',
    '127.0.0.1:18083',
    '/data',
    'TOKEN=$(curl',
    '18080/users/sign-in',
    '"product":"prd_0aa_1"',
  ]) {
    assert.ok(text.includes(part), part);
  }
  assert.ok(!text.includes(':8080'));
  assert.equal(text.split('\n').filter((line) => line.trim().match(/^(TOKEN=\$\()?curl /)).length, 3);
});

test('without a demonstration there is nothing to try', () => {
  const text = banner({
    url: 'http://h',
    topology: { ...house, edge: { host: '127.0.0.1', port: 1 } },
    regions: ['us-east'],
    dataFolder: '/data',
    demo: null,
  });
  assert.ok(!text.includes('curl'));
  assert.ok(!text.includes('dig'), 'no DNS server, no line about it');
  assert.ok(!text.includes('eu-west'));
});
