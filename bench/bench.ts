/**
 * All benchmarks, one table. Each figure stands beside its reference, measured in the same run, in turns; what counts
 * is the ratio, since machines differ and are shared.
 *
 *   npm run bench
 *   npm run bench -- --only a,c
 *   npm run bench -- regions       those whose titles begin so
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { run as archives } from './archives.ts';
import { run as catchingUp } from './catching-up.ts';
import { run as dns } from './dns.ts';
import type { Benchmark, Figure, Say } from './figure.ts';
import { run as logAppend } from './log-append.ts';
import { run as logGrowth } from './log-growth.ts';
import { run as longStreams } from './long-streams.ts';
import { run as mysqlAppend } from './mysql-append.ts';
import { run as mysqlOrders } from './mysql-orders.ts';
import { run as orders } from './orders.ts';
import { type Platform, startPlatform } from './platform.ts';
import { probeDisk } from './probe.ts';
import { run as productReads } from './product-reads.ts';
import { run as regions } from './regions.ts';
import { run as reservations } from './reservations.ts';
import { run as resharding } from './resharding.ts';
import { run as simulation } from './simulation.ts';
import { run as start } from './start.ts';
import { tableOf } from './table.ts';
import { run as topRows } from './top-rows.ts';

/** Shared by those that need it; started when first asked for. */
let started: Promise<Platform> | null = null;
function platform(say: Say): Promise<Platform> {
  if (started === null) say('starts three regions and the edge');
  started ??= startPlatform();
  return started;
}
async function stopPlatform(): Promise<void> {
  await (await started?.catch(() => null))?.stop();
  started = null;
}

/** In the order of their running: those that want the machine for themselves come before the platform. */
const benchmarks: readonly Benchmark[] = [
  { letter: 'a', title: 'log appends', run: logAppend },
  { letter: 'd', title: 'reservations of one hot product', run: reservations },
  { letter: 'e', title: 'a log that grows', run: logGrowth },
  { letter: 'i', title: 'long streams', run: longStreams },
  { letter: 'm', title: 'archives', run: archives },
  { letter: 'g', title: 'the simulation', run: simulation },
  { letter: 'h', title: 'shards: log appends on MariaDB', run: mysqlAppend },
  { letter: 'j', title: 'shards: orders on MariaDB', run: mysqlOrders },
  { letter: 'k', title: 'shards: the first rows of a million', run: topRows },
  { letter: 'l', title: 'shards: resharding', run: resharding },
  { letter: 'o', title: 'regions: copies that catch up', run: catchingUp },
  { letter: 'p', title: 'regions: far from each other', run: regions },
  { letter: 'n', title: 'DNS', run: dns },
  { letter: 'f', title: 'start and memory', run: start },
  { letter: 'c', title: 'product reads', run: async (say) => productReads(await platform(say), say) },
  { letter: 'b', title: 'orders', run: async (say) => orders(await platform(say), say) },
];

const RESULT = fileURLToPath(new URL('../.cardume/bench/latest.json', import.meta.url));

const letters = benchmarks.map(({ letter }) => letter).sort();
const help = `Runs the benchmarks (about 20 minutes; 'shards' alone 8, 'regions' 4) and prints one table; also written to .cardume/bench/latest.json.

  npm run bench
  npm run bench -- --only a,c
  npm run bench -- shards        those whose titles begin so; regions, too

${[...benchmarks]
  .sort((one, other) => one.letter.localeCompare(other.letter))
  .map(({ letter, title }) => `  ${letter}  ${title}`)
  .join('\n')}
`;

function chosen(): ReadonlySet<string> | 'help' {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { only: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) return 'help';
  const named = positionals.flatMap((name) => {
    const found = benchmarks.filter(({ title }) => title.startsWith(name));
    if (found.length === 0) throw new Error(`there is no benchmark '${name}': see --help`);
    return found.map(({ letter }) => letter);
  });
  const only =
    values.only?.split(',').map((letter) => letter.trim()) ?? (named.length > 0 ? named : undefined);
  const unknown = only?.find((letter) => !letters.includes(letter));
  if (unknown !== undefined)
    throw new Error(`there is no '${unknown}': expected some of ${letters.join(',')}`);
  return new Set(only ?? letters);
}

/** Progress goes to standard error, so that the table can be piped: in place on a terminal, else a line each. */
function tellerOf({ letter, title }: Benchmark): Say {
  const inPlace = process.stderr.isTTY;
  return (progress) => {
    const text = `${letter}  ${title}: ${progress}`;
    process.stderr.write(inPlace ? `\r\x1b[2K${text}` : `${text}\n`);
  };
}

async function main(only: ReadonlySet<string>): Promise<void> {
  const begun = performance.now();
  const disk = probeDisk();
  const machine = {
    node: process.versions.node,
    sqlite: process.versions['sqlite'],
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    platform: `${process.platform} ${process.arch}`,
  };
  const figures: (Figure & { letter: string })[] = [];
  try {
    for (const benchmark of benchmarks) {
      if (!only.has(benchmark.letter)) continue;
      const found = await benchmark.run(tellerOf(benchmark));
      figures.push(...found.map((figure) => ({ letter: benchmark.letter, ...figure })));
    }
  } finally {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K');
    await stopPlatform();
  }
  figures.sort((one, other) => one.letter.localeCompare(other.letter));
  const seconds = Math.round((performance.now() - begun) / 1_000);
  const { node, sqlite, cpu, cores } = machine;
  console.log(`node ${node}, SQLite ${sqlite}, ${machine.platform}, ${cores} cores: ${cpu}`);
  console.log(
    `disk: ${Math.round(disk.commitsPerS).toLocaleString('en')} durable commits/s one by one, ` +
      `fsync ${Math.round(disk.fsyncUs)} µs; the run took ${seconds} s\n`,
  );
  console.log(tableOf(figures));
  await mkdir(dirname(RESULT), { recursive: true });
  const result = { at: new Date().toISOString(), seconds, machine, disk, figures };
  await writeFile(RESULT, `${JSON.stringify(result, null, 2)}\n`);
}

try {
  const only = chosen();
  if (only === 'help') console.log(help);
  else await main(only);
} catch (error) {
  process.exitCode = 1;
  console.error((error as Error).message);
}
