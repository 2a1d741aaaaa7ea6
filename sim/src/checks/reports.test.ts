import { match, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { Report } from '../history.ts';
import { faultOf } from './reports.ts';

/** Confirmed before 10 ms, between 20 and 40, after 60. */
const all = [
  { fromMs: 0, untilMs: 10, costE4: 10_000 },
  { fromMs: 20, untilMs: 40, costE4: 20_000 },
  { fromMs: 60, untilMs: Number.POSITIVE_INFINITY, costE4: 40_000 },
];
const report = (fromMs: number, untilMs: number, orders: number, revenueE4: number): Report => {
  return { client: 'staff', fromMs, untilMs, orders, revenueE4 };
};

test('good: what was confirmed is counted, what is being confirmed may be', () => {
  strictEqual(faultOf(report(12, 15, 1, 10_000), all), null);
  strictEqual(faultOf(report(25, 30, 1, 10_000), all), null);
  strictEqual(faultOf(report(25, 30, 2, 30_000), all), null);
  strictEqual(faultOf(report(50, 55, 2, 30_000), all), null);
  strictEqual(faultOf(report(50, 90, 3, 70_000), all), null);
});

test('bad: an order is counted twice, or too early, or not at all, or with another price', () => {
  match(String(faultOf(report(12, 15, 2, 20_000), all)), /says 2 orders; there were 1 to 1/);
  match(String(faultOf(report(50, 55, 3, 70_000), all)), /says 3 orders; there were 2 to 2/);
  match(String(faultOf(report(50, 55, 1, 20_000), all)), /says 1 orders; there were 2 to 2/);
  match(String(faultOf(report(50, 55, 2, 40_000), all)), /says 4.00 in all; there were 3.00 to 3.00/);
});
