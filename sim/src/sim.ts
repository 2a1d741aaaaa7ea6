/**
 * The command `npm run sim`: one seed with a readable log, or many over all cores; what failed is replayed, shrunk and
 * drawn by it, too.
 */
import { realHost } from 'cardume/host/real';
import { Command, InvalidArgumentError } from 'commander';
import { table } from './coverage.ts';
import { fleet, seedsFrom } from './fleet.ts';
import { bugNamed, plant, planted } from './planted/planted.ts';
import { medianSeeds, plantedSuite } from './planted/suite.ts';
import type { Result } from './run.ts';

interface Options {
  readonly seed?: number;
  readonly seeds?: number;
  readonly from: number;
  readonly minutes?: number;
  readonly untilFailure?: true;
  readonly twice?: true;
  readonly events?: true;
  readonly shrink?: true;
  readonly faults?: readonly number[];
  readonly customers?: number;
  readonly plant?: string;
  readonly planted?: true;
  readonly common?: true;
  readonly regional?: true;
  readonly picture?: string;
  readonly jobs: number;
  readonly json?: true;
}

const host = realHost();
/** From so many runs on, a state that none reached is a failure. */
const COVERING_RUNS_MIN = 1_000;
const SEEDS = 150;
const SEEDS_A_BUG_MAX = 400;
const MEDIAN_SEEDS_MAX = 20;
const BUG_WIDTH = Math.max(...planted.map(({ name }) => name.length));

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function count(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
}

function minutes(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('expected a number of minutes above 0.');
  return value;
}

function numbers(text: string): number[] {
  return text === '' ? [] : text.split(',').map(count);
}

function bug(text: string): string {
  if (bugNamed(text) === undefined)
    throw new InvalidArgumentError(`expected one of ${planted.map(({ name }) => name).join(', ')}.`);
  return text;
}

const program = new Command('npm run sim --')
  .description('Runs the whole cluster in one process, on virtual time, under faults that a seed decides.')
  .option('--seed <n>', 'one seed, with a log of what happens', count)
  .option('--seeds <n>', 'so many seeds', count)
  .option('--from <n>', 'the first of them', count, 1)
  .option('--minutes <n>', 'as many seeds as the time allows', minutes)
  .option('--until-failure', 'stop at the first seed that fails')
  .option('--jobs <n>', 'seeds at once', count, host.env.cores)
  .option('--twice', 'run each seed twice: both runs must be equal')
  .option('--shrink', 'with --seed: find the fewest faults and customers that still fail')
  .option('--faults <numbers>', 'with --seed: only these faults of its plan', numbers)
  .option('--customers <n>', 'with --seed: so many customers', count)
  .option('--events', 'with --seed: print every event')
  .option('--picture <file>', 'with --seed: draw the run as SVG')
  .option(
    '--regional',
    'three regions that take over from each other; with --planted: only for bugs of these',
  )
  .option(
    '--plant <bug>',
    'with a bug that the simulation must find; with --planted: search for this one',
    bug,
  )
  .option('--planted', 'search for every such bug, and say how many seeds each took')
  .option('--common', 'with --planted: only for those that few seeds show, as CI does')
  .option('--json', 'one JSON object a run')
  .addHelpText(
    'after',
    `
Examples:
  npm run sim -- --seed 42                        replay a seed
  npm run sim -- --seeds 40 --twice               what CI runs
  npm run sim -- --regional --seed 7              three regions that take over from each other
  npm run sim -- --minutes 10 --until-failure     search
  npm run sim -- --seed 42 --shrink               make a failure small
  npm run sim -- --seed 42 --plant oversold       see a bug being found
  npm run sim -- --planted --regional             search for the bugs of regions

Bugs: ${planted.map(({ name }) => name).join(', ')}`,
  )
  .action(async (options: Options) => {
    if (options.planted === true) process.exitCode = await bugs(options);
    else process.exitCode = await (options.seed === undefined ? many(options) : one(options.seed, options));
  });

async function bugs({
  jobs,
  common,
  regional,
  plant: only,
  seeds = SEEDS_A_BUG_MAX,
}: Options): Promise<number> {
  print(`seeds  ${'bug'.padEnd(BUG_WIDTH)} what it does; what showed it`);
  const all = await plantedSuite(host, {
    bugs: planted.filter(
      ({ name, isRare, isRegional }) =>
        (only === undefined || name === only) &&
        (common !== true || isRare !== true) &&
        (regional !== true || isRegional === true),
    ),
    seedsMax: seeds,
    jobs,
    onFound({ bug: { name, what }, seeds: took, violation }) {
      const shown = violation
        .replace(/^[\d.]+ ms: /, '')
        .split('\n', 1)[0]
        ?.slice(0, 110);
      print(`${String(took ?? 'none').padStart(5)}  ${name.padEnd(BUG_WIDTH)} ${what}`);
      if (took !== null) print(`${' '.repeat(BUG_WIDTH + 8)}${shown}`);
    },
  });
  const missed = all.filter((found) => found.seeds === null);
  print(`\n${all.length - missed.length} of ${all.length} bugs found, median ${medianSeeds(all)} seeds`);
  return missed.length > 0 || medianSeeds(all) > MEDIAN_SEEDS_MAX ? 1 : 0;
}

async function one(seed: number, options: Options): Promise<number> {
  const { faults, customers, events } = options;
  const known = options.plant === undefined ? undefined : bugNamed(options.plant);
  if (known !== undefined) plant(known);
  const [{ run }, { parting }, { shrink }, { picture }] = await Promise.all([
    import('./run.ts'),
    import('./part.ts'),
    import('./shrink.ts'),
    import('./picture.ts'),
  ]);
  const line = (atMs: number, text: string): void => print(`${atMs.toFixed(3).padStart(12)} ms  ${text}`);
  if (options.twice === true) {
    const {
      event,
      first,
      second,
      events: all,
    } = await parting(seed, { faults, customers, isRegional: options.regional });
    if (event === null) print(`Two runs of seed ${seed} are equal, ${all} events.`);
    else
      print(
        `Two runs of seed ${seed} part at event ${event}:\n${first.join('\n')}\n---\n${second.join('\n')}`,
      );
    return event === null ? 0 : 1;
  }
  const isQuiet = options.json === true || options.shrink === true;
  const begunMs = host.clock.monotonicMs();
  const ran = await run(seed, {
    faults,
    customers,
    isRegional: options.regional,
    onNote: isQuiet ? undefined : line,
    onEvent: events === true ? (atMs, kind, label) => line(atMs, `${kind} ${label}`) : undefined,
  });
  const wallMs = host.clock.monotonicMs() - begunMs;
  if (options.picture !== undefined) await host.disk.write(absolute(options.picture), picture(ran));
  const { plan: _, happened: __, history, states: ___, ...result } = ran;
  if (options.shrink === true && result.violations.length > 0) {
    const small = await shrink(ran.plan, async (changes) => {
      const { violations } = await run(seed, { ...changes, isRegional: options.regional });
      process.stderr.write(violations.length > 0 ? '!' : '.');
      return violations.length > 0;
    });
    process.stderr.write('\n');
    print(
      `Seed ${seed} still fails with ${small.faults.length} faults and ${small.customers} customers (${small.runs} runs):`,
    );
    print(`  ${command(seed, options)} --faults '${small.faults.join()}' --customers ${small.customers}`);
  }
  if (options.json === true) print(JSON.stringify(result));
  else {
    for (const [name, times] of [...history.answers].sort(([a], [b]) => a.localeCompare(b)))
      print(`  ${times} ${name}`);
    print(`${summary(result, wallMs)}\n${result.hash}`);
    for (const violation of result.violations) print(`VIOLATION ${violation}`);
  }
  return result.violations.length > 0 ? 1 : 0;
}

async function many(options: Options): Promise<number> {
  const { from, jobs, json } = options;
  const results: Result[] = [];
  const begunMs = host.clock.monotonicMs();
  let virtualMs = 0;
  let toldMs = begunMs;
  const failed: number[] = [];
  await fleet(host, {
    seeds: seedsFrom(from, options.seeds ?? (isEndless(options) ? Number.POSITIVE_INFINITY : SEEDS)),
    minutes: options.minutes ?? Number.POSITIVE_INFINITY,
    jobs,
    untilFailure: options.untilFailure === true,
    isTwice: options.twice === true,
    bug: options.plant ?? null,
    isRegional: options.regional === true,
    onDone({ result, wallMs }) {
      results.push(result);
      virtualMs += result.virtualMs;
      if (json === true) print(JSON.stringify({ ...result, wallMs }));
      if (result.violations.length > 0) {
        failed.push(result.seed);
        if (json !== true) {
          print(`Seed ${result.seed} fails:`);
          for (const violation of result.violations.slice(0, 5)) print(`  ${violation}`);
          print(`  ${command(result.seed, options)}`);
        }
      }
      const nowMs = host.clock.monotonicMs();
      if (json !== true && nowMs - toldMs > 10_000) {
        toldMs = nowMs;
        print(`${results.length} seeds, ${failed.length} failed, ${((nowMs - begunMs) / 1000).toFixed(0)} s`);
      }
    },
  });
  const wallMs = host.clock.monotonicMs() - begunMs;
  const reached = table(
    results.map((result) => result.reached),
    options.regional === true,
  );
  const missing = reached.filter(([, runs]) => runs === 0);
  if (json !== true) {
    print('\n runs  state');
    for (const [state, runs] of reached) print(`${String(runs).padStart(5)}  ${state}`);
    const orders = results.reduce((sum, one) => sum + one.orders, 0);
    const faults = results.reduce((sum, one) => sum + one.faults, 0);
    const answers = results.reduce((sum, one) => sum + one.answers, 0);
    print(
      `\n${results.length} seeds, ${failed.length} failed; ${(wallMs / 1000).toFixed(0)} s on ${jobs} cores, ${(virtualMs / 1000).toFixed(0)} virtual s; ${answers} answers, ${orders} orders, ${faults} faults${options.twice === true ? '; every seed ran twice' : ''}`,
    );
  }
  if (results.length >= COVERING_RUNS_MIN && missing.length > 0) {
    print(`Never reached: ${missing.map(([state]) => state).join('; ')}`);
    return 1;
  }
  return failed.length > 0 ? 1 : 0;
}

/** Until the time is over, or until a seed fails. */
function isEndless({ minutes: bound, untilFailure }: Options): boolean {
  return bound !== undefined || untilFailure === true;
}

function command(seed: number, { plant: name, regional }: Options): string {
  const kind = regional === true ? ' --regional' : '';
  return `npm run sim -- --seed ${seed}${kind}${name === undefined ? '' : ` --plant ${name}`}`;
}

function summary(
  { seed, events, virtualMs, orders, answers, faults, violations }: Result,
  wallMs: number,
): string {
  const speed = (virtualMs / wallMs).toFixed(0);
  return `Seed ${seed}: ${violations.length} violations; ${(virtualMs / 1000).toFixed(1)} virtual s in ${(wallMs / 1000).toFixed(2)} s (${speed} times), ${events} events, ${answers} answers, ${orders} orders, ${faults} faults`;
}

function absolute(path: string): string {
  return path.startsWith('/') ? path : `${process.cwd()}/${path}`;
}

await program.parseAsync();
