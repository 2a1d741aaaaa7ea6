import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { etagOf, noneMatches, parseIfMatch } from './preconditions.ts';

test('If-Match names one version of ours, or any', () => {
  assert.equal(parseIfMatch('"7"'), 7);
  assert.equal(parseIfMatch(etagOf(0)), 0);
  assert.equal(parseIfMatch('*'), null);
});

for (const bad of ['W/"7"', '7', '""', '"x"', '"7", "8"', '"-1"', '"1.5"', '', `"${'9'.repeat(16)}"`]) {
  test(`If-Match refuses ${bad}`, () => {
    assert.throws(
      () => parseIfMatch(bad),
      (error) => isCardumeError(error, 'invalid-input') && error.faults[0]?.path === '/headers/if-match',
    );
  });
}

const held: readonly (readonly [string, boolean])[] = [
  ['"7"', true],
  ['W/"7"', true],
  ['"6", W/"7"', true],
  ['*', true],
  ['"8"', false],
  ['7', false],
  ['"6", "77"', false],
];
for (const [header, expected] of held) {
  test(`If-None-Match ${header} holds version 7: ${expected}`, () => {
    assert.equal(noneMatches(header, etagOf(7)), expected);
  });
}
