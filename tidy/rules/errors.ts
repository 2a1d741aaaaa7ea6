/** docs/errors.md is generated from the table of errors and stands for all of it. */
import type { Violation } from '../house.ts';
import { lineOf } from '../scan.ts';

const table = 'platform/src/base/errors.ts';
const instead = 'run `node tools/launch.mjs tools/errors-page.ts`';

export function checkErrors(args: {
  readonly codes: readonly string[];
  /** The text of the table's file. */
  readonly source: string;
  /** What stands in docs, and what should. */
  readonly page: string;
  readonly generated: string;
}): readonly Violation[] {
  const missing = args.codes.filter((code) => !args.page.includes(`| \`${code}\` |`));
  if (missing.length === 0 && args.page !== args.generated) {
    return [{ path: 'docs/errors.md', line: 1, message: `differs from ${table}: ${instead}` }];
  }
  return missing.map((code) => ({
    path: table,
    line: lineOf(args.source, Math.max(0, args.source.search(new RegExp(`['"]?\\b${code}['"]?:`)))),
    message: `'${code}' is not in docs/errors.md: ${instead}`,
  }));
}
