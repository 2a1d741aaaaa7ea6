import { equal, match, ok } from 'node:assert/strict';
import { test } from 'node:test';
import config from '../../../cardume.config.ts';
import { limitsOf } from './catalogue.ts';
import { niceMax } from './chart.ts';
import { measure } from './measures.ts';
import { type Outcome, outcomeText } from './outcome.ts';
import { pageOf } from './page.ts';
import { acked, attempt, mark, recordOf } from './record.fixture.ts';

const record = recordOf(
  [
    attempt(1_000, 1_020),
    attempt(5_100, 5_200, { status: 503, request: 1_000_000 }),
    attempt(8_200, 8_900, { request: 1_000_000 }),
    attempt(5_050, 5_060, { kind: 'claim', status: 0 }),
    attempt(8_000, 8_400, { kind: 'claim' }),
  ],
  {
    marks: [
      { ...mark('struck', 5_000), text: 'us-east is killed <now>' },
      {
        ...mark('homes-moved', 8_100),
        region: 'us-west',
        count: 24,
        text: '24 partitions have their home in us-west now',
      },
      { ...mark('healed', 13_000), text: 'us-east is started again' },
      { ...mark('caught-up', 16_000), text: 'all copies are up to date' },
    ],
    acknowledged: [acked(1_020, 'there'), acked(4_800, 'lost')],
    endedMs: 20_000,
  },
);
const outcome: Outcome = {
  ...{ drill: 'region-loss', about: 'What it does.', region: 'us-east', begun: '2026-01-02T03:04:05.678Z' },
  ...{ coordinator: 'embedded', load: 0.5, durability: { orders: 'region' }, from: 'struck' },
  limits: limitsOf({ name: 'region-loss' }, config),
  ...{ passed: true, missed: [], measures: measure(record, 'struck', 3_000), record },
  imported: null,
  roundTripMs: 100,
  complaints: [{ process: 'us-west', level: 'error', message: 'a </pre> line', fields: {}, atMs: 8_100 }],
};

test('the page stands alone, and has every event on its chart and in its list', () => {
  const page = pageOf(outcome);
  ok(!/\b(?:src|href)=|@import|url\(/.test(page), 'nothing is loaded from elsewhere');
  for (const text of [
    'us-east is killed &lt;now&gt;',
    '24 partitions have their home in us-west now',
    'first success: order',
    'first success: claim',
    'us-east is started again',
    'all copies are up to date',
  ])
    equal(page.split(text).length - 1, 2, text);
  match(page, /lines of 100 ms there and back/);
  match(page, /prefers-color-scheme: dark/);
  match(page, /a &lt;\/pre&gt; line/);
  match(page, /<strong>3\.90 s<\/strong>/, 'RTO');
  match(page, /<rect class="unavailable"/);
  match(page, /<rect class="connection"/);
  ok(!page.includes('NaN') && !page.includes('undefined') && !page.includes('Infinity'));
});

test('a record in which nothing happened has a page too', () => {
  const empty = recordOf([], { endedMs: 0 });
  const page = pageOf({ ...outcome, record: empty, measures: measure(empty, 'struck', 3_000) });
  ok(!page.includes('NaN') && !page.includes('undefined') && !page.includes('Infinity'));
});

test('the text says the same', () => {
  const text = outcomeText(outcome);
  match(text, /^ {3}5\.00 s {2}us-east is killed <now>$/m);
  match(text, /^ {3}8\.90 s {2}first success: order$/m);
  match(text, /^RTO +3\.90 s \(at most 5\.00 s\)/m);
  match(
    text,
    /^lost writes +1 of 2 acknowledged; the oldest 0\.20 s before the fault; of order, user, stock those/m,
  );
  match(text, /^during .*errors 1 × connection, 1 × 503; after retries 1 × connection$/m);
  match(text, /\nPassed\.$/);
});

test('axes end at round numbers', () => {
  for (const [value, end] of [
    [1, 1],
    [3, 5],
    [34, 50],
    [50, 50],
    [51, 100],
  ] as const)
    equal(niceMax(value), end);
});
