/**
 * The power fails while a log is archived, after each operation on the disk in turn, and at moments chosen at random,
 * when files are written: everything is read as it was, and archiving goes on from where it stood.
 */
import { deepStrictEqual, ok } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import { all, answer, event, P, plain } from '../../testing/log-conformance-case.ts';
import { type SimulatedHost, simulatedHost } from '../../testing/simulated/host.ts';
import { openLog, openWriterPool } from '../events.ts';
import type { Log } from '../log.ts';
import { verifyLog } from '../verify.ts';

const PATH = '/data/shard.db';
const ARCHIVE = '/data/shard.archive';
const ASKED = { ending: [{ streams: 'ord', types: ['Ended'] }], segmentEntriesMax: 5 };
const STEPS_MAX = 500;
const bounds = { batchEntriesMax: 8, queueEntriesMax: 1_000 };

async function open(host: SimulatedHost): Promise<Log> {
  const pool = openWriterPool(host, { threadsMax: 1 });
  return openLog(host, { path: PATH, partitions: [P], pool, bounds });
}

/** 18 entries: orders that end, one that goes on, answers, an account. @returns all of them */
async function load(host: SimulatedHost): Promise<unknown[]> {
  const log = await open(host);
  for (let i = 1; i <= 4; i += 1) {
    const end = event(`ord-${i}`, 2, { type: 'Ended' });
    await log.append(P, [event(`ord-${i}`, 1), event('acc', i), end, answer('acc', `no-${i}`)]);
  }
  await log.append(P, [event('ord-1', 3), event('acc', 5)]);
  await log.forgetAnswers(2_000_000_000_000, 100);
  const entries = await all(log, P);
  await log.close();
  return entries.map(plain);
}

/** @returns whether it came to the end of its round */
async function archive(log: Log): Promise<boolean> {
  try {
    for (let steps = 0; await log.archive(ASKED); steps += 1) ok(steps < STEPS_MAX);
    return true;
  } catch (error) {
    if (!isCardumeError(error, 'storage-failed')) throw error;
    return false;
  }
}

async function readsAll(host: SimulatedHost, log: Log, entries: readonly unknown[]): Promise<void> {
  deepStrictEqual((await host.run(all(log, P))).map(plain), entries);
  for (const [stream, versions] of Object.entries({ 'ord-1': 3, 'ord-2': 2, 'ord-3': 2, 'ord-4': 2, acc: 5 }))
    deepStrictEqual((await host.run(log.readStream(P, stream, 1, 9))).length, versions, stream);
}

async function filesIn(host: SimulatedHost): Promise<[segments: number, strays: number]> {
  const names = await host.run(host.disk.list(ARCHIVE));
  const isSegment = (name: string): boolean => name.endsWith('.segment');
  return [names.filter(isSegment).length, names.filter((name) => !isSegment(name)).length];
}

/** @param fail makes the power fail some time @returns whether archiving had come to its end before, and what stood then */
async function failing(
  seed: number,
  fail: (host: SimulatedHost, archiving: Promise<boolean>) => Promise<boolean>,
): Promise<{ isDone: boolean; segments: number; strays: number }> {
  const host = simulatedHost({ seed });
  try {
    await host.run(host.disk.makeFolder('/data'));
    const entries = await host.run(load(host));
    const log = await host.run(open(host));
    const isDone = await fail(host, archive(log));
    host.crash();
    const again = await host.run(open(host));
    const [segments, strays] = await filesIn(host);
    await readsAll(host, again, entries);
    ok(await host.run(archive(again)), 'a round after the power came back');
    await readsAll(host, again, entries);
    await host.run(again.close());
    deepStrictEqual((await host.run(verifyLog(host, { path: PATH }))).faults, []);
    deepStrictEqual(await filesIn(host), [3, strays], 'segments, and what was moved aside');
    return { isDone, segments, strays };
  } finally {
    host.close();
  }
}

describe('the power fails while a log is archived', () => {
  test('at every operation of the database', { timeout: 60_000 }, async () => {
    const segments = new Set<number>();
    let operations = 0;
    for (let isDone = false; !isDone; operations += 1) {
      const found = await failing(1_000 + operations, async (host, archiving) => {
        host.failPowerAfter(operations);
        return host.run(archiving);
      });
      isDone = found.isDone;
      segments.add(found.segments);
    }
    ok(operations > 20, `${operations} operations`);
    deepStrictEqual([...segments].sort(), [0, 1, 2, 3]);
  });

  test('at any moment: a file that nothing refers to is moved aside', { timeout: 60_000 }, async () => {
    let strays = 0;
    for (let seed = 1; seed <= 60; seed += 1) {
      const found = await failing(seed, async (host, archiving) => {
        archiving.catch(() => undefined); // nobody hears of it
        await host.advance(seed / 4);
        return false;
      });
      strays += found.strays;
    }
    ok(strays > 0, 'some files were cut off before they stood');
  });
});
