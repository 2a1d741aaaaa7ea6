/**
 * Resharding in front of your eyes (resharding.ts): it prints how long callers were held, what failed, what was verified,
 * and latency before, during and after.
 *
 *   npm run demo:reshard
 *   npm run demo:reshard -- --rate 200 --json
 */
import { parseArgs } from 'node:util';
import { reshardUnderLoad, type Stage } from './resharding.ts';
import type { Latency } from './steady-load.ts';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '100' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(`Moves partitions between shards while orders come in.

  npm run demo:reshard                    100 orders a second
  npm run demo:reshard -- --rate 200
  npm run demo:reshard -- --json          for scripts
`);
  process.exit(0);
}

function text(stages: readonly Stage[]): string {
  const ms = ({ p50Ms, p99Ms }: Latency): string => `${p50Ms.toFixed(1)} / ${p99Ms.toFixed(1)}`;
  return stages
    .map(
      ({ name, partitions, verified, tookMs, longestPauseMs, errors, latency: { before, during, after } }) =>
        [
          name,
          `  partitions moved and verified   ${partitions}, with ${verified.entries.toLocaleString('en')} entries and ${verified.rows.toLocaleString('en')} rows, in ${(tookMs / 1_000).toFixed(1)} s`,
          `  longest pause of a partition    ${longestPauseMs} ms`,
          `  errors seen by clients          ${errors} of ${before.count + during.count + after.count}`,
          `  p50 / p99 before, ms            ${ms(before)}`,
          `  p50 / p99 while they moved, ms  ${ms(during)}   (p99 ${(during.p99Ms / before.p99Ms).toFixed(2)} times)`,
          `  p50 / p99 after, ms             ${ms(after)}`,
        ].join('\n'),
    )
    .join('\n\n');
}

const stages = await reshardUnderLoad(Number(values.rate), (line) => void process.stderr.write(`${line}\n`));
process.stdout.write(`${values.json ? JSON.stringify(stages) : text(stages)}\n`);
