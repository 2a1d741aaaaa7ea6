import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realHost } from '../host/real.ts';
import type { LogLevel } from './log.ts';
import { openLog } from './log.ts';

function logInto(lines: string[], level?: LogLevel, named?: string) {
  const real = realHost();
  const host = {
    clock: { ...real.clock, nowMs: () => 1_700_000_000_000 },
    env: { ...real.env, get: () => named, write: (line: string) => void lines.push(line) },
  };
  return openLog(host, { region: 'sul' }, level);
}

test('a line is one JSON object with level, time of the host, region and message', () => {
  const lines: string[] = [];
  logInto(lines).info('started', { port: 8080 });
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    [{ level: 'info', time: 1_700_000_000_000, region: 'sul', port: 8080, message: 'started' }],
  );
  assert.ok(!(lines[0] as string).includes('\n'));
});

test('the level decides what is written; the environment may name it', () => {
  const lines: string[] = [];
  const quiet = logInto(lines, 'warn');
  quiet.info('no');
  quiet.warn('yes');
  const loud = logInto(lines, undefined, 'debug');
  loud.debug('yes too');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).message),
    ['yes', 'yes too'],
  );
  assert.throws(() => logInto(lines, undefined, 'loud'), /expected one of debug/);
});

test('fields of `with` stand in every line', () => {
  const lines: string[] = [];
  const log = logInto(lines).with({ requestId: 'r1' }).with({ service: 'orders' });
  log.info('a');
  const { requestId, service, region } = JSON.parse(lines[0] as string);
  assert.deepEqual([requestId, service, region], ['r1', 'orders', 'sul']);
});

test('secrets never reach a line, wherever they stand', () => {
  const lines: string[] = [];
  const jwt = 'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJl';
  const error = new Error(`refused ${jwt}`, { cause: new Error('ana@example.com is taken') });
  Object.assign(error, { config: { headers: { Cookie: 'sid=hunter2' } } });
  logInto(lines)
    .with({ authorization: 'Bearer hunter2' })
    .error(`sign-in of ana.b+c@mail.example.co.uk with Basic aHVudGVyMg==`, {
      password: 'hunter2',
      body: { newPassword: 'hunter2', accessToken: 'hunter2', email: 'x', list: [{ secret: 'hunter2' }] },
      url: `/a?b=Bearer%20x`,
      header: `bearer ${jwt}`,
      error,
    });
  const text = lines.join('\n');
  for (const secret of ['hunter2', 'aHVudGVyMg', jwt, 'ana@', 'ana.b', 'mail.example']) {
    assert.ok(!text.includes(secret), `${secret} stands in ${text}`);
  }
  assert.ok(text.includes('[removed]'));
});

test('what is awkward is written all the same: cycles, depth, big numbers, bytes', () => {
  const lines: string[] = [];
  const cycle: Record<string, unknown> = { n: 12n, bytes: new Uint8Array(9) };
  cycle['self'] = cycle;
  logInto(lines).info('x'.repeat(100_000), { cycle });
  const line = JSON.parse(lines[0] as string);
  assert.equal(line.cycle.n, '12');
  assert.equal(line.cycle.bytes, '[9 bytes]');
  assert.ok((lines[0] as string).length < 20_000);
});
