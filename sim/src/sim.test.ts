/** A sample of what `npm run sim` does at length: seeds hold, replay equally, and show a bug that was planted. */
import { deepStrictEqual, notStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { interesting } from './coverage.ts';
import { parting } from './part.ts';
import { picture } from './picture.ts';
import { faultKinds, planOf } from './plan.ts';
import { planted } from './planted/planted.ts';
import { run } from './run.ts';
import { shrink } from './shrink.ts';

const SIM = fileURLToPath(new URL('./sim.ts', import.meta.url));
const sim = (...flags: string[]) =>
  promisify(execFile)(process.execPath, [SIM, ...flags], { timeout: 60_000 });

describe('a plan', () => {
  test('is a function of its seed, and every kind of fault is in some', () => {
    deepStrictEqual(planOf(7), planOf(7));
    notStrictEqual(JSON.stringify(planOf(7)), JSON.stringify(planOf(8)));
    const kinds = new Set(
      Array.from({ length: 60 }, (_, seed) => planOf(seed, { isRegional: true }).faults).flatMap((all) =>
        all.map(({ kind }) => kind),
      ),
    );
    deepStrictEqual([...kinds].sort(), [...faultKinds].sort());
  });

  test('a fault that is left out leaves the others as they were', () => {
    const { faults } = planOf(3);
    const rest = faults.filter(({ number }) => number % 2 === 0);
    deepStrictEqual(planOf(3, { faults: rest.map(({ number }) => number) }).faults, rest);
  });
});

describe('a run', () => {
  test('holds under its faults, and twice in the same way', { timeout: 120_000 }, async () => {
    for (const seed of [2, 5]) {
      const first = await run(seed);
      deepStrictEqual(first.violations, [], `npm run sim -- --seed ${seed}`);
      ok(first.orders > 0 && first.answers > 50);
      strictEqual((await run(seed)).hash, first.hash);
    }
    notStrictEqual((await run(2)).hash, (await run(5)).hash);
  });

  test('is compared with itself event by event, and drawn', { timeout: 120_000 }, async () => {
    strictEqual((await parting(6, { faults: [] })).event, null);
    const drawn = picture(await run(6));
    ok(drawn.startsWith('<svg') && drawn.includes('Seed 6'));
  });
});

describe('a planted bug', () => {
  for (const { name, changes } of planted) {
    test(`${name} has its place`, async () => {
      for (const { file, find } of changes) {
        const source = await readFile(new URL(`../../${file}`, import.meta.url), 'utf8');
        strictEqual(source.split(find).length, 2, `${file}: ${find}`);
      }
    });
  }

  test('is found, told with the command that replays it, and nothing fails without it', {
    timeout: 120_000,
  }, async () => {
    const { stdout } = await sim('--seeds', '2', '--jobs', '1');
    ok(stdout.includes('2 seeds, 0 failed'), stdout);
    await rejects(sim('--seed', '1', '--plant', 'oversold', '--json'), ({ code, stdout: found }) => {
      const { violations } = JSON.parse(found as string) as { violations: string[] };
      return code === 1 && violations.some((one) => /available/.test(one));
    });
    await rejects(
      sim('--seeds', '2', '--jobs', '1', '--plant', 'kept-payment'),
      ({ code, stdout: found }) => {
        return code === 1 && /npm run sim -- --seed \d --plant kept-payment/.test(found as string);
      },
    );
  });

  test('wrong use is said', async () => {
    await rejects(sim('--plant', 'none-such'), /expected one of/);
    await rejects(sim('--seed', 'x'), /expected a whole number/);
    ok((await sim('--help')).stdout.includes('npm run sim -- --seed 42'));
  });
});

test('a failure shrinks to the faults that it needs', async () => {
  const plan = { ...planOf(3), customers: 4 };
  const numbers = plan.faults.map(({ number }) => number);
  ok(numbers.length > 8);
  const needed = [numbers[2], numbers[7]] as number[];
  const { faults, customers, runs } = await shrink(
    plan,
    async ({ faults: left = [], customers: clients = 0 }) => {
      return needed.every((number) => left.includes(number)) && clients >= 2;
    },
  );
  deepStrictEqual([faults, customers], [needed, 2]);
  ok(runs < 80, `${runs} runs`);
});

test('interesting states have names of their own', () => {
  strictEqual(new Set(interesting).size, interesting.length);
});
