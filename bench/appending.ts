/** What benchmarks of the log append: orders' events from many callers at once, and how fast a log takes them. */
import { newId } from '../platform/src/base/id.ts';
import { type LogPlace, openLog, openWriterPool } from '../platform/src/events/events.ts';
import type { NewEntry } from '../platform/src/events/log.ts';
import { realHost } from '../platform/src/host/real.ts';

export const BATCH_ENTRIES = 128;
/** Callers that append and wait, each one entry at a time: enough to fill a batch while another commits. */
const CALLERS = 512;
const EVENTS_PER_STREAM = 4;
export const PARTITIONS = 8;

const host = realHost();

export const eventsOf = (streamsPerCaller: number): number => CALLERS * streamsPerCaller * EVENTS_PER_STREAM;

/** An order's events as the shop writes them: some 300 bytes each. */
function entryOf(stream: string, version: number): NewEntry {
  const data = JSON.stringify({
    customer: stream.replace('ord', 'usr'),
    items: [{ sku: `sku-${version}`, quantity: 2, unitPrice: { amount: '1999', currency: 'EUR' } }],
    total: { amount: '3998', currency: 'EUR' },
    address: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v',
  });
  const meta = '{"trace":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}';
  return { stream, version, type: 'OrderPlaced', data, meta, key: null, atMs: host.clock.nowMs() };
}

function streamsOf(partition: number, count: number): string[] {
  const place = { scope: 0, partition };
  return Array.from({ length: count }, () => newId('ord', place, host.clock.nowMs(), host.random.bytes(10)));
}

/** @returns events a second of a new log there */
export async function appendAll(place: LogPlace, streamsPerCaller: number): Promise<number> {
  const pool = openWriterPool(host, { threadsMax: 1 });
  const partitions = Array.from({ length: PARTITIONS }, (_, i) => i);
  const bounds = { batchEntriesMax: BATCH_ENTRIES, queueEntriesMax: 10_000 };
  const log = await openLog(host, { ...place, partitions, pool, bounds });
  const callers = Array.from({ length: CALLERS }, (_, i) => {
    const partition = i % PARTITIONS;
    const entries = streamsOf(partition, streamsPerCaller).flatMap((stream) =>
      Array.from({ length: EVENTS_PER_STREAM }, (__, n) => entryOf(stream, n + 1)),
    );
    return async () => {
      for (const entry of entries) await log.append(partition, [entry]);
    };
  });
  const startMs = performance.now();
  await Promise.all(callers.map((caller) => caller()));
  const seconds = (performance.now() - startMs) / 1000;
  await log.close();
  await pool.close();
  return eventsOf(streamsPerCaller) / seconds;
}

export interface PlainEntry {
  readonly partition: number;
  readonly position: number;
  readonly entry: NewEntry;
}

/** The same events in the order of their arrival, for whoever inserts them by hand. */
export function plainEntries(streamsPerCaller: number): PlainEntry[] {
  const positions = new Array<number>(PARTITIONS).fill(0);
  const streams = Array.from({ length: CALLERS }, (_, i) => streamsOf(i % PARTITIONS, streamsPerCaller));
  const plain: PlainEntry[] = [];
  for (let s = 0; s < streamsPerCaller; s += 1) {
    for (let version = 1; version <= EVENTS_PER_STREAM; version += 1) {
      for (let caller = 0; caller < CALLERS; caller += 1) {
        const partition = caller % PARTITIONS;
        const position = (positions[partition] as number) + 1;
        positions[partition] = position;
        plain.push({ partition, position, entry: entryOf(streams[caller]?.[s] as string, version) });
      }
    }
  }
  return plain;
}
