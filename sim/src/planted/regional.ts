/** Bugs of regions that take over from each other: see planted.ts. They are searched for in three regions. */
import type { Planted } from './planted.ts';

export const regionalBugs: readonly Planted[] = [
  {
    name: 'key-not-passed-on',
    what: 'a customer who has moved orders without a look at where the key was before',
    isRare: true,
    changes: [
      {
        file: 'shop/src/orders/birth.ts',
        find: '  for (const { next: to, ...before } of cradlesBefore(context)) {\n',
        put: '  for (const { next: to, ...before } of cradlesBefore(context).slice(99)) {\n',
      },
    ],
  },
  {
    name: 'fence-skipped',
    what: 'a copy takes entries of a home that was replaced',
    isRare: true,
    shownBy: ['stranded'],
    changes: [
      {
        file: 'platform/src/events/copies.ts',
        find: 'if (homeEpoch < epoch) {',
        put: 'if (homeEpoch < 0) {',
      },
    ],
  },
  {
    name: 'laggard-promoted',
    what: 'the copy that is furthest behind becomes the home',
    changes: [
      {
        file: 'platform/src/regions/failover.ts',
        find: 'b.position > a.position)',
        put: 'b.position < a.position)',
      },
    ],
  },
  {
    name: 'half-read-promotion',
    what: 'a home is named although a copy that may have the last answer was not read',
    isRare: true,
    changes: [
      {
        file: 'platform/src/regions/failover.ts',
        find: 'if (copies.length === 0 || (!isWhole && (isAwaited || !isLate))) refused += 1;',
        put: 'if (copies.length === 0) refused += 1;',
      },
    ],
  },
  {
    name: 'tail-dropped',
    what: 'entries that nobody else had are deleted without a trace',
    changes: [{ file: 'platform/src/events/sqlite/cut.ts', find: '      quarantine(entry);\n', put: '' }],
  },
  {
    name: 'answer-before-second-region',
    what: 'an answer does not wait until a second region has it',
    isRare: true,
    shownBy: ['lost'],
    changes: [
      {
        file: 'platform/src/cqrs/across.ts',
        find: 'const appended = log.append(partition, entries);\n      if (!across.isAwaited(partition)) return appended;',
        put: 'const appended = log.append(partition, entries);\n      if (entries.length > 0) return appended;',
      },
    ],
  },
  {
    name: 'lease-believed-for-ever',
    what: 'a region that was replaced goes on answering from memory',
    isRare: true,
    changes: [
      {
        file: 'platform/src/regions/region-lease.ts',
        find: 'const isHeld = (): boolean => clock.monotonicMs() < untilMs;',
        put: 'const isHeld = (): boolean => untilMs > 0;',
      },
    ],
  },
  {
    name: 'wall-clock-believed',
    what: 'a region counts its lease by the wall clock, which may go back',
    isRare: true,
    shownBy: ['stranded', 'clock'],
    changes: [
      {
        file: 'platform/src/regions/region-lease.ts',
        find: 'const isHeld = (): boolean => clock.monotonicMs() < untilMs;',
        put: 'let wallUntilMs = 0; const isHeld = (): boolean => clock.nowMs() < wallUntilMs;',
      },
      {
        file: 'platform/src/regions/region-lease.ts',
        find: 'untilMs = sentMs + held.lease.ttlMs * USED_SHARE;',
        put: 'untilMs = sentMs + held.lease.ttlMs * USED_SHARE; wallUntilMs = clock.nowMs() + untilMs - clock.monotonicMs();',
      },
    ],
  },
  {
    name: 'promoted-beside-its-lease',
    what: 'a home is named while the region that was lost has its lease again',
    isRare: true,
    changes: [
      {
        file: 'platform/src/regions/failover.ts',
        find: 'const conditions: Condition[] = [{ key: keyOfLease(lost), revision: 0 }];',
        put: 'const conditions: Condition[] = [];',
      },
    ],
  },
  {
    name: 'keys-not-sent',
    what: 'a copy has no keys of the subjects whose entries it has',
    changes: [
      {
        file: 'platform/src/regions/replication/source.ts',
        find: 'const keys = entries.length === 0 || isSealed ? [] : await shard.moving.keysFor(entries);',
        put: 'const keys: never[] = [];',
      },
    ],
  },
  {
    name: 'switched-without-its-tail',
    what: 'a planned move does not wait until the other region has all entries',
    changes: [
      {
        file: 'platform/src/regions/switchover.ts',
        find: 'await untilReached(clock, watermarks, to, service, key, before.position, CATCH_UP_MS_MAX);',
        put: '',
      },
      {
        file: 'platform/src/regions/switchover.ts',
        find: 'const { position } = shard.log.head(key) ?? before;\n    await untilReached(clock, watermarks, to, service, key, position, CATCH_UP_MS_MAX);',
        put: 'const { position } = shard.log.head(key) ?? before;',
      },
    ],
  },
  {
    name: 'processes-forgotten',
    what: 'who takes a partition over does not take up its processes',
    changes: [
      {
        file: 'platform/src/cqrs/shard-moving.ts',
        find: 'await runner.adopt(partition, head.position);',
        put: '',
      },
    ],
  },
  {
    name: 'half-adopted',
    what: 'what was adopted in the log alone, before the disk failed, counts as served',
    isRare: true,
    changes: [
      {
        file: 'platform/src/regions/keeper.ts',
        find: 'log.head(key) !== undefined && moving.owns(key);',
        put: 'log.head(key) !== undefined && moving !== undefined;',
      },
    ],
  },
  {
    name: 'successor-robbed',
    what: 'a process that was replaced, and does not know yet, adopts what its successor has moved',
    isRare: true,
    changes: [
      {
        file: 'platform/src/regions/keeper.ts',
        find: '      ground.check(); //',
        put: '      //',
      },
    ],
  },
  {
    name: 'predecessor-takes-the-lease',
    what: 'a process that was replaced takes the lease of its region when its successor stands still',
    isRare: true,
    changes: [
      {
        file: 'platform/src/regions/region-lease.ts',
        find: '    if (hasBegun) checkFiles();',
        put: '',
      },
    ],
  },
  {
    name: 'home-is-stale',
    what: 'a read that may be old is answered by copies of any age',
    changes: [
      {
        file: 'platform/src/regions/near-by.ts',
        find: 'if (copy?.asOfMs == null || copy.asOfMs < sinceMs) return false;',
        put: 'if (copy?.asOfMs == null) return false;',
      },
    ],
  },
  {
    name: 'rights-not-frozen',
    what: 'who takes over without a proof goes on as if it had one',
    isRare: true,
    changes: [
      {
        file: 'platform/src/regions/failover.ts',
        find: ': afterLoss(before, lost, term, region);',
        put: ': (void afterLoss, {});',
      },
    ],
  },
];
