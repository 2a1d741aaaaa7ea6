import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realHost } from '../host/real.ts';
import { openMetrics } from './metrics.ts';

test('requests have the names, labels and buckets of the architecture document', async () => {
  const metrics = openMetrics(realHost());
  const route = metrics.route('GET', '/products/{id}', 'products');
  route.answered(200, 50);
  route.answered(200, 400);
  route.answered(404, 2_000);
  const text = await metrics.text();
  const labels = 'method="GET",route="/products/{id}"';
  assert.match(text, new RegExp(`http_requests_total{${labels},status_code="200",service="products"} 2`));
  assert.match(text, new RegExp(`http_requests_total{${labels},status_code="404",service="products"} 1`));
  const counts = ['0.1', '0.3', '0.5', '0.7', '1', '3', '5', '7', '10', '+Inf'].map((le) => {
    const bucket = `http_request_duration_seconds_bucket{le="${le}",${labels},service="products"}`;
    return Number(
      text
        .split('\n')
        .find((line) => line.startsWith(bucket))
        ?.split(' ')
        .at(-1),
    );
  });
  assert.deepEqual(counts, [1, 1, 2, 2, 2, 3, 3, 3, 3, 3]);
  assert.match(text, new RegExp(`http_request_duration_seconds_sum{${labels},service="products"} 2.45`));
});

test('active connections are those that are open at the scrape', async () => {
  const metrics = openMetrics(realHost());
  const orders = metrics.connections('orders');
  orders.opened();
  orders.opened();
  orders.closed();
  assert.equal(metrics.connections('orders').open, 1);
  assert.match(await metrics.text(), /active_connections{service="orders"} 1/);
  orders.closed();
  assert.match(await metrics.text(), /active_connections{service="orders"} 0/);
});

test('queues and gauges are read at the scrape; batches and counters are counted', async () => {
  const metrics = openMetrics(realHost());
  let depth = 3;
  metrics.queue('passwords', () => depth);
  metrics.gauge('lag_entries', 'Entries behind', () => depth * 2);
  metrics.counter('retries', 'Retries').add(4);
  const shard = metrics.batches('orders-1');
  shard.committed(16, 0.4);
  shard.committed(4, 30);
  depth = 5;
  const text = await metrics.text();
  assert.match(text, /cardume_queue_depth{queue="passwords"} 5/);
  assert.match(text, /cardume_lag_entries 10/);
  assert.match(text, /cardume_retries_total 4/);
  assert.match(text, /cardume_log_entries_total{shard="orders-1"} 20/);
  assert.match(text, /cardume_log_batch_commit_seconds_count{shard="orders-1"} 2/);
  assert.match(text, /cardume_log_batch_commit_seconds_bucket{le="0.0005",shard="orders-1"} 1/);
  assert.match(text, /cardume_resident_memory_bytes \d{6,}/);
});

test('two instances in one process do not share metrics', async () => {
  const [one, two] = [openMetrics(realHost()), openMetrics(realHost())];
  one.route('GET', '/a', 's').answered(200, 1);
  assert.ok(!(await two.text()).includes('route="/a"'));
});
