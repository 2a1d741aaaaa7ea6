import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { type SimulatedHost, simulatedHost } from '../testing/simulated/host.ts';
import type { Typed } from './aggregate.ts';
import { account } from './bank.fixture.ts';
import type { Bus } from './bus.ts';
import { type Doer, type Effects, openEffects } from './effects.ts';
import { type Process, process } from './process.ts';

/** Attempts at once. */
const SEATS = 4_096;
const idle = process({
  name: 'idle',
  of: account,
  initial: () => 0,
  evolve: () => 0,
  ended: () => false,
  react: () => [],
});
const doer: Doer = { id: 'acc_1', process: idle as unknown as Process, recovered: false };

let host: SimulatedHost;
let effects: Effects;
let sent: Typed[];
let reports: unknown[];

beforeEach(() => {
  host = simulatedHost({ seed: 3 });
  sent = [];
  reports = [];
  const bus = { send: async (_to: unknown, _id: string, command: Typed) => void sent.push(command) };
  effects = openEffects({
    host,
    bus: bus as unknown as Bus,
    service: 'bank',
    ports: {},
    report: (...line) => void reports.push(line),
  });
});
afterEach(() => {
  effects.close();
  host.close();
});

const work = (key: string, run: () => Promise<Typed | null>) =>
  effects.begin(doer, { key, kind: 'work', run });

test('an effect that is cancelled while it runs gives its seat back when it ends, and its outcome counts for nothing', async () => {
  const hanging: ((command: Typed) => void)[] = [];
  const begun = Array.from({ length: SEATS }, (_, i) =>
    work(`hangs-${i}`, () => new Promise((resolve) => void hanging.push(resolve))),
  );
  work('waits', async () => ({ type: 'Waited' }));
  await host.advance(1_000);
  strictEqual(hanging.length, SEATS);
  deepStrictEqual(sent, [], 'all seats are taken');
  for (const one of begun) one.cancel();
  for (const end of hanging) end({ type: 'Late' });
  await host.advance(1);
  deepStrictEqual(sent, [{ type: 'Waited' }]);
});

test('a timer that is due does not wait for a seat', async () => {
  for (let i = 0; i < SEATS; i += 1) work(`hangs-${i}`, () => new Promise(() => {}));
  const atMs = host.clock.nowMs() + 5_000;
  effects.begin(doer, { key: 'expire', kind: 'timer', atMs, command: { type: 'Expire' } });
  await host.advance(5_001);
  deepStrictEqual(sent, [{ type: 'Expire' }]);
});

test('an attempt that hangs loses its seat after a minute and is made again; what it comes to later is dropped', async () => {
  const ends: ((command: Typed) => void)[] = [];
  work('slow', () => new Promise((resolve) => void ends.push(resolve)));
  await host.advance(60_200);
  strictEqual(ends.length, 2);
  ends[0]?.({ type: 'First' });
  await host.advance(10);
  deepStrictEqual(sent, []);
  ends[1]?.({ type: 'Second' });
  await host.advance(10);
  deepStrictEqual([sent, reports], [[{ type: 'Second' }], []]);
});
