import { deepEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { afterLoss, without } from './unclean.ts';

test('a partition is unclean until each home that it lost follows it, or is its home again', () => {
  const first = afterLoss({}, 'us-east', 1, 'us-west');
  deepEqual(first, { unclean: { term: 1, lost: ['us-east'] } });
  const second = afterLoss(first, 'us-west', 2, 'eu-west');
  deepEqual(second, { unclean: { term: 2, lost: ['us-east', 'us-west'] } });

  deepEqual(
    without(second, (region) => region === 'us-east'),
    { unclean: { term: 2, lost: ['us-west'] } },
  );
  deepEqual(
    without(second, () => true),
    {},
  );
  deepEqual(
    without(second, () => false),
    second,
  );
  deepEqual(
    without({}, () => true),
    {},
  );
});

test('whoever takes over knows what it had itself, and a home that is lost twice stands there once', () => {
  const lost = afterLoss({}, 'us-east', 1, 'us-west');
  deepEqual(afterLoss(lost, 'us-west', 2, 'us-east'), { unclean: { term: 2, lost: ['us-west'] } });
  deepEqual(afterLoss({ unclean: { term: 1, lost: ['us-west'] } }, 'us-west', 2, 'eu-west'), {
    unclean: { term: 2, lost: ['us-west'] },
  });
});
