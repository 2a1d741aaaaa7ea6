/** Generates docs/errors.md from the table of errors: `node tools/launch.mjs tools/errors-page.ts`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { errors } from '../platform/src/base/errors.ts';

export interface ErrorText {
  readonly status: number;
  readonly title: string;
  readonly retryable: boolean;
  readonly help: string;
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

export function errorsPage(table: Readonly<Record<string, ErrorText>>): string {
  const rows = Object.entries(table).map(
    ([code, error]) =>
      `| \`${code}\` | ${error.status} | ${cell(error.title)} | ${error.retryable ? 'yes' : 'no'} | ${cell(error.help)} |`,
  );
  return `# Errors

Generated from \`platform/src/base/errors.ts\` by \`node tools/launch.mjs tools/errors-page.ts\`; do not edit.

Every expected failure answers with a problem document (RFC 9457, \`application/problem+json\`) whose \`code\` is one
of these. A code never changes its meaning. *Again* says whether the same request may succeed later, unchanged.

| code | status | meaning | again | what to do |
|---|---|---|---|---|
${rows.join('\n')}
`;
}

if (import.meta.main) {
  mkdirSync(new URL('../docs/', import.meta.url), { recursive: true });
  writeFileSync(new URL('../docs/errors.md', import.meta.url), errorsPage(errors));
}
