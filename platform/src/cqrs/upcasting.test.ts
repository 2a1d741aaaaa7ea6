import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Type } from 'typebox';
import { isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import { Personal } from '../privacy/personal.ts';
import { accept, aggregate } from './aggregate.ts';
import { codecOf } from './codec.ts';
import { readEvent, upcastersOf } from './upcasting.ts';

type Event =
  | { readonly type: 'Moved'; readonly who: string; readonly to: { readonly x: number; readonly y: number } }
  | { readonly type: 'Rested' };

const definition = {
  name: 'walker',
  idType: 'wlk',
  events: {
    Moved: Type.Object({
      who: Personal(Type.String()),
      to: Type.Object({ x: Type.Number(), y: Type.Number() }),
    }),
    Rested: Type.Object({}),
  },
  initial: () => 0,
  decide: () => accept<Event>([]),
  evolve: (state: number) => state,
};
/** Versions: 1 `{ who, x }`, 2 `{ who, x, y }`, 3 as it is now. */
const walker = aggregate<number, { type: 'Move' }, Event>({
  ...definition,
  upcasters: {
    Moved: [
      (first) => ({ ...first, y: 0 }),
      ({ x, y, ...second }) => ({ ...second, to: { x: x as number, y: y as number } }),
    ],
  },
});
const { crypto } = realHost();
const key = Buffer.alloc(32, 7);
const codec = codecOf(crypto, walker as never);
const moved: Event = { type: 'Moved', who: 'Ana', to: { x: 1, y: 2 } };

describe('events of older versions', () => {
  test('are brought to the newest, from whichever they are, with what is personal', () => {
    // As the first two programs stored them.
    const sealed = (JSON.parse(codec.encode(moved, 's', key)) as { who: string }).who;
    const first = JSON.stringify({ who: sealed, x: 5 });
    const second = JSON.stringify({ $version: 2, who: sealed, x: 5, y: 6 });
    assert.deepEqual(codec.decode('Moved', first, 's', key), {
      type: 'Moved',
      who: 'Ana',
      to: { x: 5, y: 0 },
    });
    assert.deepEqual(codec.decode('Moved', second, 's', key), {
      type: 'Moved',
      who: 'Ana',
      to: { x: 5, y: 6 },
    });
    assert.deepEqual(codec.decode('Moved', codec.encode(moved, 's', key), 's', key), moved);
  });

  test('say their version from the second on, so that events which never changed stay as they were', () => {
    assert.equal(codec.encode({ type: 'Rested' }, 's', null), '{}');
    assert.equal(JSON.parse(codec.encode(moved, 's', key)).$version, 3);
    assert.equal('$version' in moved, false);
  });

  test('of a later program are refused, with what to know', () => {
    const later = JSON.stringify({ $version: 4 });
    for (const read of [
      () => codec.decode('Moved', later, 's', null),
      () => readEvent(upcastersOf([definition]), 'wlk', 'Moved', later),
    ])
      assert.throws(
        read,
        (error: Error) =>
          isCardumeError(error, 'storage-failed') && /version 4.*up to \d/.test(error.message),
      );
  });

  test('are those of their aggregate, whatever others call theirs', () => {
    const of = (idType: string, n: number) => ({ idType, upcasters: { Moved: [() => ({ n })] } });
    const both = upcastersOf([of('one', 1), of('two', 2)] as never);
    assert.deepEqual(readEvent(both, 'two', 'Moved', '{}'), { type: 'Moved', n: 2 });
    assert.deepEqual(readEvent(both, 'six', 'Moved', '{}'), { type: 'Moved' });
  });

  test('have no field that says a version', () => {
    const events = { Moved: Type.Object({ $version: Type.Number() }) };
    assert.throws(() => codecOf(crypto, { ...definition, events } as never), /\$version/);
  });
});
