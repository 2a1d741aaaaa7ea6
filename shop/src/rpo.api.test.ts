/** A service that bounds what the loss of a region may cost: the home alone takes no writes beyond it. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { type Reply, startCluster, until } from './cluster.fixture.ts';

const RPO_MS = 500;
const skip =
  process.env['CARDUME_ENGINE'] === undefined ? false : 'skipped: regions are tried on files alone';

test('when no other region follows for longer than the bound, writes are refused and reads are not; then it goes on', {
  skip,
}, async () => {
  const cluster = await startCluster({ coordinated: true, services: { users: { rpoMsMax: RPO_MS } } });
  try {
    const { staff } = cluster;
    const person = { name: 'Ann', country: 'US' };
    const { id } = await cluster.done('us-east', 'POST', '/users', { token: staff, body: person });
    const path = `/users/${id}`;
    const rename = (name: string): Promise<Reply> =>
      cluster.ask('us-east', 'PATCH', path, { token: staff, body: { name } });
    const address = { name: 'Ann', line1: '1 Quay', city: 'Bath', postcode: '04530', country: 'US' };
    const added = { token: staff, key: 'one', body: address };
    const { id: addressId } = await cluster.done('us-east', 'POST', `${path}/addresses`, added);
    await cluster.stop('us-west', 'kill');
    await cluster.stop('eu-west', 'kill');

    let count = 0;
    let refused: Reply | null = null;
    await until('writes are refused', async () => {
      count += 1;
      const reply = await rename(`name ${count}`);
      if (reply.status !== 200) refused = reply;
      return refused !== null;
    });
    const { status, headers, body } = refused as unknown as Reply;
    deepEqual([status, body.code, headers['retry-after']], [503, 'replicas-behind', '1']);
    ok(/no other region has had all of partition \d+ of 'users' for \d+ ms, and 500 ms/.test(body.detail));
    ok(count > 1, 'a bound leaves time');

    equal((await cluster.done('us-east', 'GET', path, { token: staff })).name, `name ${count - 1}`);
    const again = await cluster.ask('us-east', 'POST', `${path}/addresses`, added);
    deepEqual([again.status, again.headers['idempotency-replayed'], again.body.id], [201, 'true', addressId]);
    const metrics = (await cluster.ask('us-east', 'GET', '/metrics')).text;
    const [, seconds] = /^cardume_replication_alone_seconds(?:\{\S*\})? (\S+)$/m.exec(metrics) ?? [];
    ok(Number(seconds) > RPO_MS / 1_000, `${seconds} s`);

    await cluster.start('eu-west');
    await until('writes are taken again', async () => (await rename('last')).status === 200);
  } finally {
    await cluster.close();
  }
});
