import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compareText } from './compare.ts';
import { prefixEnd } from './sql.ts';
import { createTable } from './sqlite.ts';

describe('prefixEnd', () => {
  it('is the least text behind all that begin so', () => {
    assert.equal(prefixEnd('ab'), 'ac');
    assert.equal(prefixEnd('50%_'), '50%`');
    assert.equal(prefixEnd('a\ud7ff'), 'a\ue000', 'the surrogates are no characters');
    assert.equal(prefixEnd('a\uffff'), 'a😀'.slice(0, 1) + String.fromCodePoint(0x10000));
    assert.equal(prefixEnd('a\u{10ffff}\u{10ffff}'), 'b');
    assert.equal(prefixEnd('\u{10ffff}'), null);
    assert.equal(prefixEnd(''), null);
  });

  it('splits all text in two', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (prefix, text) => {
        const end = prefixEnd(prefix);
        const within = (one: string): boolean =>
          compareText(one, prefix) >= 0 && (end === null || compareText(one, end) < 0);
        assert.equal(within(text), text.startsWith(prefix));
        assert.ok(within(prefix + text));
      }),
    );
  });
});

describe('compareText', () => {
  it('orders as the UTF-8 bytes do', () => {
    const text = fc.array(fc.constantFrom('a', 'b', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}'), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const [x, y] = [a.join(''), b.join('')];
        assert.equal(Math.sign(compareText(x, y)), Buffer.compare(Buffer.from(x), Buffer.from(y)));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('createTable', () => {
  const table = {
    name: 'orders',
    columns: { id: 'text', at: 'integer' },
    key: ['id'],
    indexes: [['at']],
  } as const;

  it('puts the partition before the key and names what it makes', () => {
    assert.deepEqual(createTable(table), [
      'CREATE TABLE IF NOT EXISTS "orders" ("_partition" INTEGER NOT NULL, "id" TEXT NOT NULL, "at" INTEGER, ' +
        'PRIMARY KEY ("_partition", "id")) STRICT',
      'CREATE INDEX IF NOT EXISTS "orders_by_at" ON "orders" ("at")',
    ]);
  });

  it('refuses definitions that no engine can hold', () => {
    assert.throws(() => createTable({ ...table, name: 'or"ders' }), /not a name/);
    assert.throws(
      () => createTable({ ...table, columns: { ...table.columns, ID: 'text' } }),
      /differ only by case/,
    );
    assert.throws(
      () => createTable({ ...table, columns: { ...table.columns, _partition: 'integer' } }),
      /not a name/,
    );
    assert.throws(() => createTable({ ...table, key: [] }), /no column/);
    assert.throws(() => createTable({ ...table, key: ['nothing'] }), /key column/);
    assert.throws(() => createTable({ ...table, indexes: [['nothing']] }), /no column/);
  });
});
