import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { parseJsonBody } from './json-body.ts';

const good: readonly (readonly [string, unknown])[] = [
  ['', undefined],
  ['{"a":[1,"é",null]}', { a: [1, 'é', null] }],
  ['"\\ud83d\\udc1f"', '🐟'],
  ['"\\\\ud800"', '\\ud800'],
  ['{"constructor":1}', { constructor: 1 }],
  ['"__proto__"', '__proto__'],
  ['"\\u0041"', 'A'],
];
for (const [text, value] of good) {
  test(`taken: ${text}`, () => assert.deepEqual(parseJsonBody(Buffer.from(text)), value));
}

const bad: readonly (readonly [string, Buffer])[] = [
  ['half a document', Buffer.from('{"a":')],
  ['two documents', Buffer.from('{} {}')],
  ['a comma too many', Buffer.from('[1,]')],
  ['single quotes', Buffer.from("{'a':1}")],
  ['NaN', Buffer.from('NaN')],
  ['only a space', Buffer.from(' ')],
  ['Latin-1', Buffer.from('{"a":"\u00e9"}', 'latin1')],
  ['a cut sequence', Buffer.from('22c322', 'hex')],
  ['an overlong slash', Buffer.from('22c0af22', 'hex')],
  ['a surrogate in UTF-8', Buffer.from('22eda08022', 'hex')],
  ['UTF-16', Buffer.from('{}', 'utf16le')],
  ['a byte order mark', Buffer.from('\ufeff{}')],
  ['half a pair, escaped', Buffer.from('{"a":"\\ud83d"}')],
  ['half a pair in a key', Buffer.from('{"\\udc1f":1}')],
  ['a pair the wrong way round', Buffer.from('"\\udc1f\\ud83d"')],
  ['a prototype', Buffer.from('{"a":[{"__proto__":{"x":1}}]}')],
  ['a prototype in escapes', Buffer.from('{"__pr\\u006fto__":{"x":1}}')],
];
for (const [what, bytes] of bad) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => parseJsonBody(bytes),
      (error) => isCardumeError(error, 'bad-json'),
    );
  });
}

test('depth does not break it', () => {
  const deep = `${'['.repeat(5_000)}"\\ud83d\\udc1f"${']'.repeat(5_000)}`;
  assert.doesNotThrow(() => parseJsonBody(Buffer.from(deep)));
});
