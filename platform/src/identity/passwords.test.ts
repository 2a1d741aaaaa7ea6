import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import type { Argon2Cost } from '../host/cryptography.ts';
import { realHost } from '../host/real.ts';
import { formatPhc, OWASP_COST, openPasswords, parsePhc, passwordFault } from './passwords.ts';

const host = realHost();
/** Real Argon2id, made quick. */
const cost: Argon2Cost = { memoryKib: 64, passes: 1 };
const open = (changes: object = {}) => openPasswords(host, { passwordQueueMax: 10, cost, ...changes });

test('what is stored verifies its password and no other', async () => {
  const passwords = open();
  const stored = await passwords.hash('correct horse');
  assert.match(stored, /^\$argon2id\$v=19\$m=64,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.deepEqual(await passwords.verify('correct horse', stored), { matches: true, needsRehash: false });
  assert.deepEqual(await passwords.verify('correct horsf', stored), { matches: false, needsRehash: false });
  assert.deepEqual(await passwords.verify('', stored), { matches: false, needsRehash: false });
});

test('each hash has its own salt', async () => {
  const passwords = open();
  assert.notEqual(await passwords.hash('correct horse'), await passwords.hash('correct horse'));
});

test('the default is OWASP’s: 19 MiB, two passes', async () => {
  const stored = await openPasswords(host, { passwordQueueMax: 1 }).hash('correct horse');
  assert.ok(stored.startsWith('$argon2id$v=19$m=19456,t=2,p=1$'));
  assert.deepEqual(OWASP_COST, { memoryKib: 19_456, passes: 2 });
});

test('a hash of weaker parameters still verifies, and asks to be renewed', async () => {
  const old = await open().hash('correct horse');
  const today = open({ cost: { memoryKib: 128, passes: 1 } });
  assert.deepEqual(await today.verify('correct horse', old), { matches: true, needsRehash: true });
  assert.deepEqual(await today.verify('wrong horse', old), { matches: false, needsRehash: false });
});

test('the same password in another Unicode form is the same', async () => {
  const passwords = open();
  const stored = await passwords.hash('caf\u00e9 com leite');
  assert.equal((await passwords.verify('cafe\u0301 com leite', stored)).matches, true);
});

test('an unknown account costs the same work and never matches', async () => {
  const asked: Argon2Cost[] = [];
  const crypto: typeof host.crypto = {
    ...host.crypto,
    argon2id: (password, salt, by) => {
      asked.push(by);
      return host.crypto.argon2id(password, salt, by);
    },
  };
  const passwords = openPasswords({ ...host, crypto }, { passwordQueueMax: 1, cost });
  assert.deepEqual(await passwords.verify('correct horse', null), { matches: false, needsRehash: false });
  assert.deepEqual(asked, [cost]);
});

test('over-long input is hashed cut, and does not match', async () => {
  const passwords = open();
  const stored = await passwords.hash(`${'abcdefgh'.repeat(16)}`);
  assert.equal((await passwords.verify('abcdefgh'.repeat(16), stored)).matches, true);
  assert.equal((await passwords.verify('abcdefgh'.repeat(1_000), stored)).matches, false);
});

test('the queue is bounded: beyond it callers are told to come back, and the others are served in order', async () => {
  const ends: (() => void)[] = [];
  let running = 0;
  let runningMax = 0;
  const crypto: typeof host.crypto = {
    ...host.crypto,
    async argon2id() {
      running += 1;
      runningMax = Math.max(runningMax, running);
      await new Promise<void>((resolve) => ends.push(resolve));
      running -= 1;
      return new Uint8Array(32);
    },
  };
  const env = { ...host.env, cores: 2 };
  const passwords = openPasswords({ ...host, crypto, env }, { passwordQueueMax: 3, cost });
  const under = Array.from({ length: 5 }, () => passwords.verify('correct horse', null));
  assert.equal(passwords.waiting, 3);
  await assert.rejects(
    passwords.verify('correct horse', null),
    (error) => isCardumeError(error, 'overloaded') && (error.retryAfterS ?? 0) >= 1,
  );
  for (let i = 0; i < 5; i += 1) {
    while (ends.length === 0) await new Promise((resolve) => setImmediate(resolve));
    ends.shift()?.();
  }
  await Promise.all(under);
  assert.equal(runningMax, 2);
  assert.equal(passwords.waiting, 0);
});

describe('rules', () => {
  const cases: readonly (readonly [string, RegExp | null])[] = [
    ['1234567', /8 to 128/],
    ['x7$kqpzv', null],
    ['um cavalo correto', null],
    ['пароль-мой', null],
    ['🐟🐠🐡🦈🐬🐳🐋', /8 to 128/],
    ['🐟🐠🐡🦈🐬🐳🐋🦑', null],
    ['ab'.repeat(64).replace('ab', 'cd'), null],
    [`${'ab'.repeat(64)}c`, /8 to 128/],
    ['x'.repeat(100_000), /8 to 128/],
    ['password', /most common/],
    ['PassWord1', /most common/],
    ['aaaaaaaaaaaa', /most common/],
    ['abababababab', /most common/],
    ['abc\ud800defgh', /Unicode/],
  ];
  for (const [password, expected] of cases) {
    test(`${password.slice(0, 20)} (${password.length})`, () => {
      const fault = passwordFault(password);
      if (expected === null) assert.equal(fault, null);
      else assert.match(fault ?? '', expected);
    });
  }

  test('a refused password is a fault of its field', async () => {
    await assert.rejects(
      open().hash('short'),
      (error) => isCardumeError(error, 'invalid-input') && error.faults[0]?.path === '/body/password',
    );
  });
});

describe('PHC strings', () => {
  test('are read as they were written', () => {
    const phc = { cost, salt: new Uint8Array(16).fill(7), hash: new Uint8Array(32).fill(9) };
    const read = parsePhc(formatPhc(phc));
    assert.deepEqual([read.cost, [...read.salt], [...read.hash]], [cost, [...phc.salt], [...phc.hash]]);
  });

  test('of another kind, damaged, or greedy are refused', () => {
    const good = formatPhc({ cost, salt: new Uint8Array(16), hash: new Uint8Array(32) });
    for (const bad of [
      '',
      'hunter2',
      good.replace('argon2id', 'argon2i'),
      good.replace('p=1', 'p=4'),
      good.slice(0, -1),
      good.replace('m=64', 'm=9999999'),
      good.replace('t=1', 't=999'),
    ]) {
      assert.throws(() => parsePhc(bad), /stored password hash/, bad);
    }
  });
});
