import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { realHost } from 'cardume/host/real';
import { duration, grouped, openProgress, progressBar, progressLine } from './progress.ts';

describe('progress', () => {
  const state = { label: 'orders', total: 14_332, done: 7_166, elapsedMs: 10_000 };

  test('a bar fills the terminal and no more', () => {
    const bar = progressBar(state, 79);
    assert.equal(bar.length, 79);
    assert.match(bar, /^orders {5}\[=+ +\] {2}50% 7,166\/14,332 717\/s 10 s left$/);
    const [filled, all] = [bar.match(/=/g)?.length ?? 0, bar.indexOf(']') - bar.indexOf('[') - 1];
    assert.equal(filled, Math.floor(all / 2));
    assert.equal(progressBar(state, 20).length, 20);
  });

  test('says what it does not know yet, and what is done', () => {
    assert.match(progressLine({ ...state, done: 0, elapsedMs: 0 }), / 0% 0\/14,332 0\/s -$/);
    assert.match(progressLine({ ...state, done: 14_332 }), /100% .* done$/);
    assert.match(progressLine({ ...state, total: 0, done: 0 }), / 0% /);
  });

  test('elsewhere than on a terminal it writes whole lines, one a part when it is quick', () => {
    let written = '';
    const progress = openProgress({ write: (text) => (written += text) }, realHost().clock);
    progress.begin('customers', 2);
    progress.advance();
    progress.advance();
    progress.note('a note');
    progress.begin('orders', 1);
    progress.end();
    assert.match(written, /^a note\ncustomers {2}2 in 0\.\d s\norders {5}0 in 0\.\d s\n$/);
  });

  test('on a terminal the bar is wiped before a line stays', () => {
    let written = '';
    const output = { write: (text: string) => (written += text), isTTY: true, columns: 60 };
    const progress = openProgress(output, realHost().clock);
    progress.begin('orders', 2);
    progress.advance(2);
    progress.end();
    assert.ok(written.startsWith('\r\x1b[2Korders'));
    assert.match(written.split('\x1b[2K').at(-1) ?? '', /^orders {5}2 in 0\.\d s\n$/);
  });

  test('numbers and times for people', () => {
    assert.deepEqual([0, 999, 1_000, 1_234_567].map(grouped), ['0', '999', '1,000', '1,234,567']);
    assert.deepEqual([400, 9_960, 61_000, 3_720_000].map(duration), [
      '0.4 s',
      '10.0 s',
      '1 min 1 s',
      '1 h 2 min',
    ]);
  });
});
