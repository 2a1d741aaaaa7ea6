import assert from 'node:assert/strict';
import { test } from 'node:test';
import { machineReadable, readable } from './lines.ts';

const names = ['us-east', 'eu', 'cardume'];
const atMs = new Date(2026, 0, 2, 3, 4, 5, 67).getTime();
const json = (entry: object): string => JSON.stringify({ level: 'info', time: atMs, region: 'eu', ...entry });
const plain = (line: string, name = 'eu'): string => readable(line, name, atMs, { colour: false, names });

test('a line of the log: time, region, message, fields', () => {
  assert.equal(
    plain(json({ message: 'ready', address: 'http://x', open: 3 })),
    '03:04:05.067  eu       ready  address=http://x  open=3',
  );
});

test('levels other than info are named, values with spaces are quoted', () => {
  assert.equal(
    plain(json({ level: 'warn', message: 'slow', why: 'a b' })),
    '03:04:05.067  eu       warn  slow  why="a b"',
  );
});

test('the stack of an error and of its cause stand on lines of their own', () => {
  const line = json({
    level: 'error',
    message: 'failed',
    error: { message: 'm', stack: 'Error: m\n at a', cause: { stack: 'Error: c' } },
  });
  assert.equal(
    plain(line),
    '03:04:05.067  eu       error  failed\n    Error: m\n     at a\n    cause:\n    Error: c',
  );
});

test('what is not a line of the log is shown as it is', () => {
  for (const text of ['plain text', '{not json', '{"a":1}', '']) {
    assert.equal(plain(text), `03:04:05.067  eu       ${text}`);
  }
});

test('colours only where they are wanted; each name has its own', () => {
  const painted = (name: string): string =>
    readable(json({ message: 'm' }), name, atMs, { colour: true, names });
  assert.ok(painted('us-east').includes('\u001b[36mus-east\u001b[0m'));
  assert.ok(painted('eu').includes('\u001b[35meu     \u001b[0m'));
  assert.ok(!plain(json({ message: 'm' })).includes('\u001b'));
});

test('for a program every line is JSON', () => {
  const line = json({ message: 'm' });
  assert.equal(machineReadable(line, 'eu', 5), line);
  assert.deepEqual(JSON.parse(machineReadable('text', 'eu', 5)), {
    level: 'info',
    time: 5,
    region: 'eu',
    message: 'text',
  });
});
