import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { matchesLock } from './launch.mjs';

describe('matchesLock', () => {
  const wanted = {
    packages: {
      '': {},
      platform: { version: '0.1.0' },
      'node_modules/cardume': { link: true },
      'node_modules/a': { version: '1.0.0' },
      'node_modules/d': { version: '1.0.0', dev: true },
      'node_modules/o': { version: '1.0.0', optional: true },
    },
  };
  const { a, d, link } = {
    a: { 'node_modules/a': { version: '1.0.0' } },
    d: { 'node_modules/d': { version: '1.0.0', dev: true } },
    link: { 'node_modules/cardume': { link: true } },
  };

  test('accepts absent optional packages, and an installation without development packages', () => {
    assert.equal(matchesLock(wanted, { packages: { ...link, ...a, ...d } }), true);
    assert.equal(matchesLock(wanted, { packages: { ...link, ...a } }), true);
  });

  test('refuses an absent, another, or unlinked package', () => {
    assert.equal(matchesLock(wanted, { packages: { ...link, ...d } }), false);
    assert.equal(
      matchesLock(wanted, { packages: { ...link, ...d, 'node_modules/a': { version: '1.0.1' } } }),
      false,
    );
    assert.equal(matchesLock(wanted, { packages: { ...a, ...d } }), false);
  });
});

describe('launch', { skip: process.platform === 'win32' && 'Windows has no signals' }, () => {
  const launcher = fileURLToPath(new URL('./launch.mjs', import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), 'cardume-launch-'));
  after(() => rmSync(folder, { recursive: true }));

  const script = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  test('hands on arguments and the exit code', () => {
    const path = script(
      'exit.ts',
      'console.log(process.argv.slice(2).join()); const code: number = 7; process.exit(code);',
    );
    const { status, stdout } = spawnSync(process.execPath, [launcher, path, 'a b', '--c'], {
      encoding: 'utf8',
    });
    assert.equal(status, 7);
    assert.equal(stdout, 'a b,--c\n');
  });

  test('says what is missing', () => {
    const { status, stderr } = spawnSync(process.execPath, [launcher, 'no/such.ts'], { encoding: 'utf8' });
    assert.equal(status, 1);
    assert.equal(stderr, 'There is no no/such.ts.\n');
  });

  test('forwards a repeated signal once and waits for the clean end', { timeout: 20_000 }, async () => {
    const path = script(
      'signal.ts',
      `let count = 0;
       process.on('SIGTERM', () => { count += 1; setTimeout(() => { console.log('ended', count); process.exit(3); }, 300); });
       setInterval(() => {}, 1000);
       console.log('ready');`,
    );
    const child = spawn(process.execPath, [launcher, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    assert.equal(code, 3);
    assert.equal(output, 'ready\nended 1\n');
  });
});
