/** Appends, reads, archiving and openings beside each other, as chance has it, held against a list in memory. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import { all, answer, event, P } from '../../testing/log-conformance-case.ts';
import { openLog, openWriterPool } from '../events.ts';
import type { Log, NewEntry } from '../log.ts';
import { verifyLog } from '../verify.ts';
import { host, newGround, rowsIn } from './archive.fixture.ts';

const STREAMS = 120;
const APPENDS = 400;
const LATER_MS = 2_000_000_000_000;

/** Numbers below a bound, the same for the same seed (a linear congruential generator). */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    return state % below;
  };
}

const named = ({ stream, version, type, data }: NewEntry): string => `${stream}@${version} ${type} ${data}`;

describe('whoever reads while a log is archived reads what was appended', () => {
  for (const [i, segmentEntriesMax] of [5, 40, 300].entries())
    test(`with segments of ${segmentEntriesMax} entries`, { timeout: 60_000 }, async () => {
      const { path } = await newGround();
      const pool = openWriterPool(host, { threadsMax: 1 });
      const bounds = { batchEntriesMax: 128, queueEntriesMax: 1_000 };
      const open = (): Promise<Log> => openLog(host, { path, partitions: [P], pool, bounds });
      const below = chance(i + 1);
      const asked = { ending: [{ streams: 'ord', types: ['Ended'] }], segmentEntriesMax };
      const model: string[] = [];
      const versions = new Map<string, number>();
      let log = await open();
      let isOver = false;

      async function readSome(): Promise<void> {
        const there = model.length;
        const from = below(there + 1);
        const size = 1 + below(600);
        const page = (await log.readPartition(P, from, size)).map(named);
        assert.ok(page.length >= Math.min(size, there - from));
        assert.deepEqual(page.slice(0, there - from), model.slice(from, Math.min(from + size, there)));
        const stream = `ord-${below(STREAMS)}`;
        const version = versions.get(stream) ?? 0;
        const first = 1 + below(version + 1);
        const events = await log.readStream(P, stream, first, 50);
        assert.ok(events.length >= Math.min(50, version - first + 1));
        assert.ok(events.every((one, n) => one.stream === stream && one.version === first + n));
      }
      async function readOn(): Promise<void> {
        while (!isOver) {
          // One that was begun before the log was opened again is told that it closes.
          await readSome().catch((error) => {
            if (!isCardumeError(error, 'draining')) throw error;
          });
          await host.clock.sleep(0);
        }
      }

      const reading = readOn();
      reading.catch(() => {
        isOver = true;
      });
      for (let n = 0; n < APPENDS && !isOver; n += 1) {
        const stream = `ord-${below(STREAMS)}`;
        let version = versions.get(stream) ?? 0;
        if (version > 0 && below(3) === 0)
          await assert.rejects(log.append(P, [event(stream, 1 + below(version))]), /exists already/);
        const entries = Array.from({ length: 1 + below(4) }, (_, k) => {
          version += 1;
          return event(stream, version, {
            type: below(2) === 0 ? 'Ended' : 'Happened',
            data: `{"n":${n + k}}`,
          });
        });
        if (below(3) === 0) entries.push(answer(stream, `key-${n}`));
        await log.append(P, entries);
        model.push(...entries.map(named));
        versions.set(stream, version);
        if (below(3) === 0) await log.forgetAnswers(LATER_MS, 1 + below(300));
        for (let steps = below(12); steps > 0; steps -= 1) await log.archive(asked);
        if (below(100) === 0) {
          const former = log;
          log = await open();
          await former.close();
        }
      }
      isOver = true;
      await reading;
      assert.deepEqual((await all(log, P)).map(named), model);
      await log.close();
      await pool.close();
      assert.deepEqual((await verifyLog(host, { path })).faults, []);
      assert.notDeepEqual(rowsIn(path, 'SELECT count(*) FROM segments'), [0]);
    });
});
