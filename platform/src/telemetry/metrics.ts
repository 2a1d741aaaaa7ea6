/**
 * What Prometheus scrapes. The three HTTP metrics bear the names, labels and buckets that the architecture document
 * gives; our own begin with `cardume_`. Children (one per set of labels) are kept by those who count, so that a
 * request costs two increments (measured: 0.5 µs). Numbers that already stand somewhere are read at the scrape.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Host } from '../host/host.ts';

export interface Metrics {
  route(method: string, route: string, service: string): RouteMetrics;
  connections(service: string): ConnectionMetrics;
  /** Batches that a shard's log commits. */
  batches(shard: string): BatchMetrics;
  /** Read at each scrape: how many wait in a bounded queue. */
  queue(name: string, depth: () => number): void;
  /** Read at each scrape. `name` is completed to `cardume_<name>`. */
  gauge(name: string, help: string, read: () => number): void;
  /** The same with one label: its values, and a number for each. */
  gauges(name: string, help: string, label: string, read: () => Iterable<readonly [string, number]>): void;
  /** Adds to `cardume_<name>_total`. */
  counter(name: string, help: string): { add(count: number): void };
  /** Prometheus's text format. */
  text(): Promise<string>;
  readonly contentType: string;
}

export interface RouteMetrics {
  answered(status: number, durationMs: number): void;
  /** An event stream began: it is counted, and has no duration worth a histogram. */
  streams(status: number): void;
}

export interface ConnectionMetrics {
  opened(): void;
  closed(): void;
  readonly open: number;
}

export interface BatchMetrics {
  committed(entries: number, durationMs: number): void;
}

const REQUEST_BUCKETS_S = [0.1, 0.3, 0.5, 0.7, 1, 3, 5, 7, 10];
const BATCH_BUCKETS_S = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1];

export function openMetrics(host: Pick<Host, 'env'>): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: 'http_requests_total',
    help: 'Total number of HTTP requests',
    labelNames: ['method', 'route', 'status_code', 'service'],
    registers,
  });
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Duration of HTTP requests in seconds; event streams are not counted',
    labelNames: ['method', 'route', 'service'],
    buckets: REQUEST_BUCKETS_S,
    registers,
  });
  const connectionsByService = new Map<string, OpenConnections>();
  const connections = new Gauge({
    name: 'active_connections',
    help: 'Number of active connections: HTTP requests and event streams of the service that are open now',
    labelNames: ['service'],
    registers,
    collect() {
      for (const [service, of] of connectionsByService) this.set({ service }, of.open);
    },
  });
  const queues = new Map<string, () => number>();
  new Gauge({
    name: 'cardume_queue_depth',
    help: 'How many wait in a bounded queue',
    labelNames: ['queue'],
    registers,
    collect() {
      for (const [queue, depth] of queues) this.set({ queue }, depth());
    },
  });
  const batches = new Histogram({
    name: 'cardume_log_batch_commit_seconds',
    help: 'Duration of the commits of event batches in seconds',
    labelNames: ['shard'],
    buckets: BATCH_BUCKETS_S,
    registers,
  });
  const entries = new Counter({
    name: 'cardume_log_entries_total',
    help: 'Entries that were committed to the event log',
    labelNames: ['shard'],
    registers,
  });
  const metrics: Metrics = {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    route(method, route, service) {
      const duration = durations.labels(method, route, service);
      const counters: { inc(): void }[] = [];
      function count(status: number): void {
        let counter = counters[status];
        if (counter === undefined) {
          counter = requests.labels(method, route, String(status), service);
          counters[status] = counter;
        }
        counter.inc();
      }
      return {
        answered(status, durationMs) {
          count(status);
          duration.observe(durationMs / 1000);
        },
        streams: count,
      };
    },
    connections(service) {
      let of = connectionsByService.get(service);
      if (of === undefined) {
        of = new OpenConnections();
        connectionsByService.set(service, of);
        connections.set({ service }, 0);
      }
      return of;
    },
    batches(shard) {
      const duration = batches.labels(shard);
      const counter = entries.labels(shard);
      return {
        committed(count, durationMs) {
          counter.inc(count);
          duration.observe(durationMs / 1000);
        },
      };
    },
    queue: (name, depth) => void queues.set(name, depth),
    gauge(name, help, read) {
      new Gauge({
        name: `cardume_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    gauges(name, help, label, read) {
      new Gauge({
        name: `cardume_${name}`,
        help,
        labelNames: [label],
        registers,
        collect() {
          this.reset();
          for (const [value, number] of read()) this.set({ [label]: value }, number);
        },
      });
    },
    counter(name, help) {
      const counter = new Counter({ name: `cardume_${name}_total`, help, registers });
      return { add: (count) => counter.inc(count) };
    },
  };
  metrics.gauge('resident_memory_bytes', 'Resident memory of the process', () => host.env.memoryBytes());
  return metrics;
}

class OpenConnections implements ConnectionMetrics {
  open = 0;
  opened(): void {
    this.open += 1;
  }
  closed(): void {
    this.open -= 1;
  }
}
