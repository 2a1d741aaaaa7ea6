/** Runs the tests: all of the house, or the files and flags given (`npm test -- platform/src/base/id.test.ts`). */
import { launch } from './launch.mjs';

const everything = '{platform,shop,cli,sim,bench,docs,tidy,tools}/**/*.test.ts';
const given = process.argv.slice(2);
const files = given.some((argument) => !argument.startsWith('-')) ? [] : [everything];

// Every test has a bound, and a failed one that left a server or timer open does not hold up the rest for ever.
// More cases take longer.
const timeoutMs = 180_000 * Math.max(1, Number(process.env.CARDUME_CASES ?? 1));
const flags = [
  '--test',
  '--test-concurrency=2',
  '--test-reporter=spec',
  `--test-timeout=${timeoutMs}`,
  '--test-force-exit',
];

launch([...flags, ...given, ...files], { NODE_ENV: 'test' });
