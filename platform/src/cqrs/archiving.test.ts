import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ArchiveAsked } from '../events/archive/making.ts';
import { simulatedHost } from '../testing/simulated/host.ts';
import { archiveEnded } from './archiving.ts';

test('ended streams are archived in steps with pauses, and hourly from then on; a failure is told', async () => {
  const host = simulatedHost({ seed: 1 });
  const asked: ArchiveAsked[] = [];
  const told: string[] = [];
  let steps = 3;
  const log = {
    async archive(one: ArchiveAsked) {
      asked.push(one);
      if (asked.length === 5) throw new Error('the disk is full');
      steps -= 1;
      return steps > 0;
    },
  };
  const aggregates = [{ idType: 'ord', endsOn: ['Ended'] }, { idType: 'acc' }];
  const end = archiveEnded(host, log, aggregates, 10_000, (message) => void told.push(message));
  await host.advance(1_000);
  assert.equal(asked.length, 3);
  assert.deepEqual(asked[0], {
    ending: [{ streams: 'ord_', types: ['Ended'] }],
    segmentEntriesMax: 10_000,
  });
  await host.advance(2 * 3_600_000);
  assert.equal(asked.length, 5);
  assert.deepEqual(told, ['ended streams were not archived']);
  end();
  await host.advance(10 * 3_600_000);
  assert.equal(asked.length, 5);
  host.close();
});

test('a service whose streams never end archives nothing', async () => {
  const host = simulatedHost({ seed: 1 });
  const log = { archive: () => Promise.reject(new Error('it was asked')) };
  const end = archiveEnded(host, log, [{ idType: 'acc' }], 10_000, (message) => assert.fail(message));
  await host.advance(3_600_000);
  end();
  host.close();
});
