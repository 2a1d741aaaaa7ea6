import assert from 'node:assert/strict';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { realHost } from 'cardume/host/real';
import { openApi } from '../api.ts';
import { openPatience, type PatienceBounds, retryAfterMs, usualPatience } from './patience.ts';

const host = realHost();
const quick: PatienceBounds = { ...usualPatience, patienceMs: 2_000, backoffMsMin: 2, backoffMsMax: 10 };

/** Answers the attempts in turn, the last answer for all that follow. */
async function against<Value>(
  answers: readonly ((response: ServerResponse) => void)[],
  work: (
    patience: ReturnType<typeof openPatience>,
    attempts: () => number,
    end: AbortController,
  ) => Promise<Value>,
  bounds: PatienceBounds = quick,
): Promise<Value> {
  let attempts = 0;
  const server: Server = createServer((request, response) => {
    request.resume();
    const answer = answers[Math.min(attempts, answers.length - 1)] as (response: ServerResponse) => void;
    attempts += 1;
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const api = openApi(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 't', 4, 200);
  const end = new AbortController();
  try {
    const patience = openPatience({
      api,
      clock: host.clock,
      random: host.random,
      signal: end.signal,
      bounds,
    });
    return await work(patience, () => attempts, end);
  } finally {
    api.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const reply =
  (status: number, body: unknown = {}, headers: Record<string, string> = {}) =>
  (response: ServerResponse): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
const reset = (response: ServerResponse): void => void response.socket?.destroy();
const silence = (): void => {};
const post = { method: 'POST', path: '/things', body: { a: 1 }, key: 'k' } as const;

describe('patience', () => {
  test('outlasts 503, 429, 408, a reset, a silent connection and a reply that is no JSON', async () => {
    const noJson = (response: ServerResponse): void => void response.writeHead(200).end('<html>');
    const answers = [reply(503), reply(429), reply(408), reset, silence, noJson, reply(201, { id: 'x' })];
    await against(answers, async (patience, attempts) => {
      assert.deepEqual(await patience.send(post), { kind: 'done', body: { id: 'x' }, replayed: null });
      assert.equal(attempts(), 7);
      assert.equal(patience.retries(), 6);
    });
  });

  test('does not repeat what was refused, and says where the fault is', async () => {
    const problem = {
      code: 'invalid-input',
      detail: 'faulty',
      errors: [{ pointer: '/body/lines/0', detail: 'no' }],
    };
    await against([reply(400, problem)], async (patience, attempts) => {
      const outcome = await patience.send(post);
      assert.deepEqual(outcome, {
        kind: 'refused',
        status: 400,
        code: 'invalid-input',
        detail: 'faulty; /body/lines/0: no',
      });
      assert.equal(attempts(), 1);
    });
  });

  test('gives up at its bound with the last reason', async () => {
    const bounds = { ...quick, patienceMs: 60 };
    await against(
      [reply(503, { code: 'partition-unavailable', detail: 'down' })],
      async (patience) => {
        const outcome = await patience.send(post);
        assert.deepEqual(outcome, { kind: 'unreachable', code: 'partition-unavailable', detail: 'down' });
      },
      bounds,
    );
  });

  test('does not wait longer than its bound for a Retry-After', async () => {
    const startMs = host.clock.monotonicMs();
    await against(
      [reply(503, {}, { 'retry-after': '3600' })],
      async (patience) => assert.equal((await patience.send(post)).kind, 'unreachable'),
      { ...quick, patienceMs: 100 },
    );
    assert.ok(host.clock.monotonicMs() - startMs < 2_000);
  });

  test('honours Retry-After', async () => {
    const startMs = host.clock.monotonicMs();
    await against([reply(503, {}, { 'retry-after': '1' }), reply(200)], async (patience) => {
      assert.equal((await patience.send(post)).kind, 'done');
      assert.ok(host.clock.monotonicMs() - startMs >= 1_000);
    });
  });

  test('a broken platform gets a few attempts only', async () => {
    await against([reply(500, { code: 'internal', detail: 'broke' })], async (patience, attempts) => {
      assert.equal((await patience.send(post)).kind, 'unreachable');
      assert.equal(attempts(), quick.brokenAttemptsMax);
    });
  });

  test('ends when the user ends the import', async () => {
    await against([reply(503, {}, { 'retry-after': '60' })], async (patience, attempts, end) => {
      const sent = patience.send(post);
      while (attempts() === 0) await host.clock.sleep(5);
      end.abort();
      assert.equal((await sent).kind, 'stopped');
    });
  });

  test('reads both forms of Retry-After', () => {
    const nowMs = Date.parse('2026-01-01T00:00:00Z');
    const values = ['3', 'Thu, 01 Jan 2026 00:00:05 GMT', 'Wed, 31 Dec 2025 00:00:00 GMT', 'soon', undefined];
    assert.deepEqual(
      values.map((value) => retryAfterMs(value, nowMs)),
      [3_000, 5_000, 0, 0, 0],
    );
  });
});
