import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realHost } from '../host/real.ts';
import { formatTraceParent, parseTraceParent, startSpan } from './trace.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

test('a traceparent of version 00 is taken over', () => {
  assert.deepEqual(parseTraceParent(`00-${TRACE}-${SPAN}-01`), { traceId: TRACE, spanId: SPAN, flags: 1 });
});

test('a later version may say more behind the part that we know', () => {
  const known = { traceId: TRACE, spanId: SPAN, flags: 1 };
  assert.deepEqual(parseTraceParent(`cc-${TRACE}-${SPAN}-01`), known);
  assert.deepEqual(parseTraceParent(`cc-${TRACE}-${SPAN}-01-what.the.future.adds`), known);
});

test('flags that we do not know are dropped', () => {
  assert.equal(parseTraceParent(`00-${TRACE}-${SPAN}-ff`)?.flags, 3);
  assert.equal(parseTraceParent(`00-${TRACE}-${SPAN}-08`)?.flags, 0);
});

const refused: readonly (readonly [string, string])[] = [
  ['empty', ''],
  ['version ff', `ff-${TRACE}-${SPAN}-01`],
  ['upper case', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
  ['a trace id of zeros', `00-${'0'.repeat(32)}-${SPAN}-01`],
  ['a span id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['a short trace id', `00-${TRACE.slice(1)}-${SPAN}-01`],
  ['no flags', `00-${TRACE}-${SPAN}`],
  ['flags of one digit', `00-${TRACE}-${SPAN}-1`],
  ['more behind version 00', `00-${TRACE}-${SPAN}-01-more`],
  ['more without a dash', `cc-${TRACE}-${SPAN}-01more`],
  ['a space in front', ` 00-${TRACE}-${SPAN}-01`],
  ['two values', `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
];
for (const [what, header] of refused) {
  test(`refused: ${what}`, () => assert.equal(parseTraceParent(header), null));
}

test('a span continues its parent’s trace under an id of its own', () => {
  const parent = parseTraceParent(`00-${TRACE}-${SPAN}-01`);
  const span = startSpan(parent, realHost().random);
  assert.equal(span.trace.traceId, TRACE);
  assert.notEqual(span.trace.spanId, SPAN);
  assert.equal(span.trace.flags, 1);
  assert.notEqual(span.unique, TRACE);
  assert.deepEqual(parseTraceParent(formatTraceParent(span.trace)), span.trace);
});

test('without a parent a trace begins, sampled, with a random id', () => {
  const { random } = realHost();
  const [one, two] = [startSpan(null, random), startSpan(null, random)];
  assert.notEqual(one.trace.traceId, two.trace.traceId);
  assert.equal(one.unique, one.trace.traceId);
  assert.match(formatTraceParent(one.trace), /^00-[0-9a-f]{32}-[0-9a-f]{16}-03$/);
});
