/** `cardume shards`: which shard holds what, which partitions are busy, and what could be moved. */
import {
  type OperatorOptions,
  openOperators,
  partitionText,
  type RegionShards,
  type ShardLine,
} from '../operators.ts';
import type { Shell } from '../shell.ts';
import { reshardLine } from './reshard.ts';

export interface ShardsOptions extends OperatorOptions {
  readonly region?: string | undefined;
  readonly service?: string | undefined;
  readonly json?: boolean | undefined;
}

/** A shard this many times as busy as the service's average is uneven. */
const UNEVEN = 1.5;

/** @returns the exit code */
export async function shards(shell: Shell, options: ShardsOptions): Promise<number> {
  const operators = await openOperators(shell, options);
  try {
    const regions = options.region === undefined ? Object.keys(operators.topology.regions) : [options.region];
    const found: RegionShards[] = [];
    for (const region of regions)
      found.push(await operators.ask('GET', `/operators/regions/${encodeURIComponent(region)}/shards`));
    const wanted = found.map((one) => ({
      ...one,
      shards: one.shards.filter(
        ({ service }) => options.service === undefined || service === options.service,
      ),
    }));
    if (options.json === true) shell.print(JSON.stringify(wanted));
    else for (const one of wanted) shell.print(regionText(one));
    return 0;
  } finally {
    operators.close();
  }
}

export function regionText(region: RegionShards): string {
  const lines = [
    ['service', 'shard', 'engine', 'partitions', 'entries', 'busiest partitions, entries a minute'],
  ];
  for (const { service, name, engine, partitions, entries, busiest } of region.shards) {
    const busy = busiest.map(
      (one) => `${partitionText(one.partition)}: ${one.entries_a_minute.toLocaleString('en')}`,
    );
    lines.push([
      service,
      name,
      engine,
      String(partitions),
      entries.toLocaleString('en'),
      busy.join(', ') || '–',
    ]);
  }
  const widths = (lines[0] as string[]).map((_, i) =>
    Math.max(...lines.map((line) => (line[i] as string).length)),
  );
  const numbers = new Set([3, 4]);
  const rows = lines.map((line) =>
    line
      .map((cell, i) =>
        numbers.has(i) ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number),
      )
      .join('  ')
      .trimEnd(),
  );
  return [
    `${region.region}, map of shards ${region.version}`,
    ...rows.map((row) => `  ${row}`),
    ...(region.reshard === null ? [] : [`  ${reshardLine(region.reshard)}`]),
    ...region.shards.flatMap(buildingLines).map((text) => `  ${text}`),
    ...region.shards.flatMap(replicaLines).map((text) => `  ${text}`),
    ...proposals(region).map((text) => `  ${text}`),
    '',
  ].join('\n');
}

function buildingLines({ name, building }: ShardLine): string[] {
  return building.map(({ projection, entries_folded: folded, entries_left: left }) => {
    const share = Math.floor((100 * folded) / Math.max(1, folded + left));
    return `${name}: the read model '${projection}' is being built, ${share} % of the log`;
  });
}

function replicaLines({ name: shard, replicas }: ShardLine): string[] {
  return replicas.map(({ name, entries_behind: behind, building, reads, trouble }) => {
    const of = `${shard}, replica ${name}`;
    if (trouble !== null) return `${of}: left out, since ${trouble}`;
    if (behind === null) return `${of}: not looked at, since nobody wanted to read from it`;
    const state = building ? 'is being built' : `${behind.toLocaleString('en')} entries behind`;
    return `${of}: ${state}, ${reads.toLocaleString('en')} reads`;
  });
}

/** One move a service, from its busiest shard to its idlest, where that makes them more even. */
export function proposals({ region, shards: all, reshard }: RegionShards): string[] {
  if (reshard !== null) return [];
  return [...Map.groupBy(all, ({ service }) => service)].flatMap(([service, own]) => {
    const [least, most] = [own.toSorted(byRate)[0] as ShardLine, own.toSorted(byRate).at(-1) as ShardLine];
    const average = own.reduce((sum, one) => sum + rateOf(one), 0) / own.length;
    const gap = rateOf(most) - rateOf(least);
    if (rateOf(most) < UNEVEN * average || gap === 0) return [];
    // The busiest that does not turn the tables.
    const one = most.busiest.find(({ entries_a_minute: rate }) => rate < gap);
    if (one === undefined || most.partitions < 2) return [];
    const share = Math.round((100 * rateOf(most)) / (average * own.length));
    return [
      `${most.name} takes ${share} % of what is written to ${service}. To even it out:`,
      `  npx cardume reshard ${service} --region ${region} --move ${partitionText(one.partition)}=${least.name}`,
    ];
  });
}

const rateOf = ({ busiest }: ShardLine): number =>
  busiest.reduce((sum, one) => sum + one.entries_a_minute, 0);
const byRate = (a: ShardLine, b: ShardLine): number => rateOf(a) - rateOf(b);
