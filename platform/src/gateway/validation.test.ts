import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type TSchema, Type } from 'typebox';
import { Order } from './gateway.fixture.ts';
import { textReader, validatorOf } from './validation.ts';

const good = { currency: 'GBP', lines: [{ sku: 'a', quantity: 1 }] };

describe('a body', () => {
  const order = validatorOf(Order);
  const cases: readonly (readonly [string, unknown, Readonly<Record<string, string>>])[] = [
    ['nothing', undefined, { '/body': 'expected an object' }],
    ['a list', [], { '/body': 'expected an object, got []' }],
    [
      'an empty object: everything that is missing, at once',
      {},
      {
        '/body/currency': 'missing: expected one of "GBP", "EUR"',
        '/body/lines': 'missing: expected a list of 1 to 3 items',
      },
    ],
    [
      'several faults in depth',
      {
        currency: 'BRL',
        lines: [
          { sku: '', quantity: 0 },
          { quantity: 1.5, sku: 7 },
        ],
      },
      {
        '/body/currency': 'expected one of "GBP", "EUR", got "BRL"',
        '/body/lines/0/sku': 'expected text of 1 to 12 characters, got ""',
        '/body/lines/0/quantity': 'expected a whole number from 1 to 99, got 0',
        '/body/lines/1/quantity': 'expected a whole number from 1 to 99, got 1.5',
        '/body/lines/1/sku': 'expected text of 1 to 12 characters, got 7',
      },
    ],
    [
      'unknown fields, also deep, their names escaped',
      { ...good, 'a/b~c': 1, lines: [{ sku: 'a', quantity: 1, qty: 2 }] },
      {
        '/body/a~1b~0c': 'unknown: expected one of "currency", "lines", "note", "password"',
        '/body/lines/0/qty': 'unknown: expected one of "sku", "quantity"',
      },
    ],
    [
      'a number in text',
      { ...good, lines: [{ sku: 'a', quantity: '1' }] },
      {
        '/body/lines/0/quantity': 'expected a whole number from 1 to 99, got "1"',
      },
    ],
    [
      'too many items',
      { ...good, lines: Array(4).fill(good.lines[0]) },
      {
        '/body/lines': `expected a list of 1 to 3 items, got ${JSON.stringify(Array(4).fill(good.lines[0])).slice(0, 60)}…`,
      },
    ],
    [
      'a secret is not quoted',
      { ...good, password: 'hunter2' },
      {
        '/body/password': 'expected text of at least 8 characters',
      },
    ],
    ['null', { ...good, note: null }, { '/body/note': 'expected text of at most 20 characters, got null' }],
  ];
  for (const [what, body, expected] of cases) {
    test(what, () => {
      assert.equal(order.check(body), false);
      const faults = order.faults(body, '/body');
      assert.deepEqual(Object.fromEntries(faults.map(({ path, message }) => [path, message])), expected);
      assert.equal(faults.length, Object.keys(expected).length);
    });
  }

  test('that fits has no fault', () => {
    assert.equal(order.check(good), true);
    assert.deepEqual(order.faults(good, '/body'), []);
  });

  test('a key that names a prototype is an unknown field', () => {
    assert.equal(
      order.check(JSON.parse('{"currency":"GBP","lines":[{"sku":"a","quantity":1}],"__proto__":{}}')),
      false,
    );
  });

  test('more faults than anyone reads are cut', () => {
    const body = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`x${i}`, i]));
    const faults = order.faults(body, '/body');
    assert.ok(faults.length > 8 && faults.length <= 64, String(faults.length));
  });

  test('the schema that is published is closed, the author’s is untouched', () => {
    assert.equal((order.schema as { additionalProperties?: boolean }).additionalProperties, false);
    assert.equal((Order as { additionalProperties?: boolean }).additionalProperties, undefined);
  });
});

test('an object that says so stays open; a record takes any key; parts of an intersection share their fields', () => {
  const open = validatorOf(Type.Object({ a: Type.Number() }, { additionalProperties: true }));
  assert.equal(open.check({ a: 1, b: 2 }), true);
  assert.equal(validatorOf(Type.Record(Type.String(), Type.Number())).check({ x: 1, y: 2 }), true);
  const both = validatorOf(
    Type.Intersect([Type.Object({ a: Type.Number() }), Type.Object({ b: Type.Number() })]),
  );
  assert.equal(both.check({ a: 1, b: 2 }), true);
});

const expectations: readonly (readonly [TSchema, unknown, string])[] = [
  [Type.Number({ exclusiveMinimum: 0 }), 0, 'expected a number above 0, got 0'],
  [Type.Integer({ minimum: 1 }), 0, 'expected a whole number at least 1, got 0'],
  [Type.Boolean(), 'yes', 'expected true or false, got "yes"'],
  [Type.String({ pattern: '^[A-Z]{2}$' }), 'br', 'expected text that matches ^[A-Z]{2}$, got "br"'],
  [Type.String({ minLength: 2, maxLength: 2 }), 'b', 'expected text of 2 characters, got "b"'],
  [Type.Enum(['a', 'b']), 'c', 'expected one of "a", "b", got "c"'],
  [Type.Literal(7), 8, 'expected 7, got 8'],
  [
    Type.Union([Type.Null(), Type.Object({ a: Type.Number() })]),
    { a: 'x' },
    'expected null or an object, got {"a":"x"}',
  ],
];
for (const [schema, value, message] of expectations) {
  test(message, () => {
    assert.deepEqual(validatorOf(schema).faults(value, ''), [{ path: '', message }]);
  });
}

describe('text of a query', () => {
  const read = textReader(
    validatorOf(
      Type.Object({
        limit: Type.Integer({ default: 20 }),
        tags: Type.Optional(Type.Array(Type.Integer())),
        sold: Type.Optional(Type.Boolean()),
        q: Type.Optional(Type.String()),
      }),
    ).schema,
  );
  const cases: readonly (readonly [Record<string, unknown>, Record<string, unknown>])[] = [
    [{}, { limit: 20 }],
    [
      { limit: '5', sold: 'true', q: '7' },
      { limit: 5, sold: true, q: '7' },
    ],
    [{ tags: '1' }, { limit: 20, tags: [1] }],
    [{ tags: ['1', 'x'] }, { limit: 20, tags: [1, 'x'] }],
    [
      { limit: '1e3', sold: 'TRUE' },
      { limit: '1e3', sold: 'TRUE' },
    ],
    [{ limit: '' }, { limit: '' }],
    [{ limit: '0x10' }, { limit: '0x10' }],
    [{ limit: ['1', '2'] }, { limit: ['1', '2'] }],
    [{ limit: ' 5' }, { limit: ' 5' }],
    [{ limit: '99999999999999999999' }, { limit: '99999999999999999999' }],
  ];
  for (const [given, expected] of cases) {
    test(JSON.stringify(given), () => assert.deepEqual({ ...read(given) }, expected));
  }
});
