import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from 'cardume/host';
import type { Answered, Api, Call } from '../api.ts';
import { openClients } from './clients.ts';

const call: Call = { method: 'POST', path: '/orders', key: 'k-1' };
const answer = (status: number, retryAfter?: string): Answered => ({
  ...{ status, retryAfter, replayed: null },
  body: status < 300 ? { id: 'x' } : { code: `code-${status}` },
});

/** Each attempt takes 10 ms; sleeping moves the time. */
function opened(answers: readonly (Answered | Error)[]) {
  let nowMs = 0;
  const sent: Call[] = [];
  const slept: number[] = [];
  const api: Api = {
    async send(one) {
      const next = answers[Math.min(sent.length, answers.length - 1)] as Answered | Error;
      sent.push(one);
      nowMs += 10;
      if (next instanceof Error) throw next;
      return next;
    },
    close() {},
  };
  const host = {
    clock: {
      nowMs: () => 0,
      async sleep(ms: number) {
        slept.push(ms);
        nowMs += ms;
      },
    },
    random: { fraction: () => 0 },
  } as unknown as Host;
  return { clients: openClients(host, api, () => nowMs), sent, slept };
}

const order = { kind: 'order', affected: true, call } as const;

test('a request is sent again under its key, no sooner than it is told, until it is done', async () => {
  const { clients, sent, slept } = opened([
    new Error('ECONNRESET'),
    answer(503, '2'),
    answer(429),
    answer(201),
  ]);
  const { request, answered } = await clients.send(order);
  equal(answered?.status, 201);
  deepEqual(sent, [call, call, call, call]);
  deepEqual(slept, [25, 2_050, 100]);
  deepEqual(
    clients.attempts.map(({ request: of, status, why }) => [of, status, why]),
    [
      [request, 0, 'ECONNRESET'],
      [request, 503, 'code-503'],
      [request, 429, 'code-429'],
      [request, 201, ''],
    ],
  );
  deepEqual(clients.requests, [
    { request, kind: 'order', affected: true, begunMs: 0, endedMs: 2_215, attempts: 4, status: 201 },
  ]);
});

test('a refusal is not repeated', async () => {
  const { clients, sent } = opened([answer(409)]);
  equal((await clients.send(order)).answered?.status, 409);
  equal(sent.length, 1);
});

test('patience has an end, and what nobody answered is told so', async () => {
  const { clients, slept } = opened([new Error('no answer')]);
  equal((await clients.send(order)).answered, null);
  const waitedMs = slept.reduce((sum, ms) => sum + ms, 0);
  equal(waitedMs > 29_000 && waitedMs < 31_000, true, String(waitedMs));
  equal(clients.requests[0]?.status, 0);
});

test('requests that run at once have numbers of their own; what is unseen has none', async () => {
  const { clients } = opened([answer(200)]);
  const idle = Promise.all([clients.send(order), clients.send(order), clients.sendUnseen(call)]);
  equal(clients.underWay, 2);
  await clients.idle();
  const [first, second] = await idle;
  equal(first.request === second.request, false);
  equal(clients.attempts.length, 2);
});
