/** The architecture's rules over the house as it stands. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { errors } from '../platform/src/base/errors.ts';
import { errorsPage } from '../tools/errors-page.ts';
import { readHouse, root, type Violation } from './house.ts';
import { dead } from './rules/dead.ts';
import { checkErrors } from './rules/errors.ts';
import { floors } from './rules/floors.ts';
import { globals } from './rules/globals.ts';
import { names } from './rules/names.ts';
import { packages } from './rules/packages.ts';

function expectNone(rule: string, violations: readonly Violation[]): void {
  if (violations.length === 0) return;
  const lines = violations.map(({ path, line, message }) => `${path}:${line}: ${rule}: ${message}`);
  const failure = new Error(`\n${lines.join('\n')}`);
  failure.stack = failure.message; // a stack would say nothing about the violation
  throw failure;
}

describe('the house', () => {
  const house = readHouse();

  for (const rule of [floors, packages, globals, dead, names]) {
    test(rule.name, () => expectNone(rule.name, rule.check(house)));
  }

  test('error codes', () => {
    const page = `${root}/docs/errors.md`;
    const violations = checkErrors({
      codes: Object.keys(errors),
      source: readFileSync(`${root}/platform/src/base/errors.ts`, 'utf8'),
      page: existsSync(page) ? readFileSync(page, 'utf8') : '',
      generated: errorsPage(errors),
    });
    expectNone('error codes', violations);
  });
});
