/** What operators see of stock when a region is lost, and what they make of it. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { inStep } from '@cardume/shop/in-step.fixture';
import { startWithOneProduct } from '@cardume/shop/one-product.fixture';
import { realHost } from 'cardume/host/real';
import { WRONG_USE } from '../failure.ts';
import { house } from '../started.fixture.ts';
import { type FrozenStock, frozenLines, frozenStock, writeOffStock } from './stock.ts';

const closing: (() => Promise<void>)[] = [];
after(() => Promise.all(closing.map((close) => close())));
const skip =
  process.env['CARDUME_ENGINE'] === undefined ? false : 'skipped: regions are tried on files alone';

const eels = (count: number): FrozenStock[] =>
  Array.from({ length: count }, (_, i) => {
    return { product: `prd_${i}`, sku: `EEL-${i}`, region: 'us-east', quantity: 10 };
  });

function shellOf() {
  const printed: string[] = [];
  const shell = {
    host: realHost(),
    folder: house,
    colour: false,
    print: (text: string) => void printed.push(text),
    complain: (text: string) => assert.fail(text),
    onSignal() {},
    exit: (code: number): never => assert.fail(`exit ${code}`),
    supervision: null,
  };
  return { shell, printed };
}

describe('cardume stock', () => {
  test('shows how much of each region is frozen, and what to do when it never comes back', () => {
    assert.deepEqual(frozenLines([], undefined), ['Nothing is frozen.']);
    assert.deepEqual(frozenLines([], 'us-west'), ['Nothing is frozen in us-west.']);
    const lines = frozenLines(eels(150), undefined);
    assert.equal(lines[0], 'us-east  prd_0  EEL-0  10');
    assert.equal(lines[100], 'and 50 more: see --json');
    assert.match(lines[101] ?? '', /^1,500 pieces of 150 products of us-east are frozen/);
    assert.match(lines[101] ?? '', /npx cardume stock write-off us-east --reason/);
  });

  test('writes off all that is frozen of a lost region, once', { skip }, async () => {
    const { cluster, product } = await startWithOneProduct('us-east', {
      coordinated: true,
      durability: 'region',
    });
    closing.push(cluster.close);
    const { staff, topology } = cluster;
    const eel = { sku: 'EEL', name: 'Eel', category: 'fish', price: { amount: '1.00', currency: 'GBP' } };
    const { id: second } = await cluster.done('eu-west', 'POST', '/products', { token: staff, body: eel });
    for (const region of ['us-east', 'eu-west'])
      await cluster.done(region, 'POST', `/products/${second}/stock`, {
        token: staff,
        body: { region, quantity: 7 },
      });
    await inStep(cluster);
    const { host, port } = topology.regions['us-west'] as (typeof topology.regions)[string];
    const options = { api: `http://${host}:${port}`, token: staff, json: true };
    const asked = async (command: (shell: ReturnType<typeof shellOf>['shell']) => Promise<number>) => {
      const { shell, printed } = shellOf();
      assert.equal(await command(shell), 0);
      return (JSON.parse(printed.join('')) as { items: FrozenStock[] }).items.map(
        ({ product: of, region, quantity }) => [of, region, quantity],
      );
    };
    assert.deepEqual(await asked((shell) => frozenStock(shell, options)), []);
    await cluster.stop('us-east', 'kill');

    const frozen = [
      [second, 'us-east', 7],
      [product, 'us-east', 100_000],
    ].sort();
    assert.deepEqual((await asked((shell) => frozenStock(shell, options))).sort(), frozen);
    assert.deepEqual(await asked((shell) => frozenStock(shell, { ...options, region: 'eu-west' })), []);
    const off = { ...options, region: 'us-east', reason: 'it burned down' };
    assert.deepEqual((await asked((shell) => writeOffStock(shell, off))).sort(), frozen);
    assert.deepEqual(await asked((shell) => writeOffStock(shell, off)), []);
    const { total } = await cluster.done('us-west', 'GET', `/products/${second}/stock`, { token: staff });
    assert.deepEqual([total.rights, total.available, total.frozen], [7, 7, 0]);
    await assert.rejects(
      writeOffStock(shellOf().shell, { ...off, region: 'us-eest' }),
      (error) => (error as { exitCode?: number }).exitCode === WRONG_USE,
    );
  });
});
