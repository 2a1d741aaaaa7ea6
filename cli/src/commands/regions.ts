/** `cardume regions`: what each region is home to, whether it may write, and how far its copies are behind. */
import { type OperatorOptions, openOperators } from '../operators.ts';
import type { Shell } from '../shell.ts';

export interface RegionsOptions extends OperatorOptions {
  readonly json?: boolean | undefined;
}

interface RegionLine {
  readonly region: string;
  readonly reachable: boolean;
  readonly lease: boolean;
  readonly partitions: number;
  readonly adopted: number;
  /** Absent from an instance of the version before. */
  readonly undecided?: number;
  readonly follows: readonly {
    readonly home: string;
    readonly partitions: number;
    readonly entries_behind: number;
    readonly behind_ms: number | null;
    readonly trouble: string | null;
  }[];
}

/** @returns the exit code */
export async function regions(shell: Shell, options: RegionsOptions): Promise<number> {
  const operators = await openOperators(shell, options);
  try {
    const answer = await operators.ask<{ readonly regions: readonly RegionLine[] }>(
      'GET',
      '/operators/regions',
    );
    if (options.json === true) shell.print(JSON.stringify(answer.regions));
    else for (const line of answer.regions.flatMap(regionLines)) shell.print(line);
    return 0;
  } finally {
    operators.close();
  }
}

export function regionLines({
  region,
  reachable,
  lease,
  partitions,
  adopted,
  undecided = 0,
  follows,
}: RegionLine): string[] {
  if (!reachable) return [`${region}  cannot be reached`];
  const taken = adopted === 0 ? '' : `, ${adopted} of them taken over`;
  const may = lease ? 'may write' : 'may not write: it has no lease';
  const waits = `${undecided.toLocaleString('en')} ${undecided === 1 ? 'entry waits' : 'entries wait'} in its quarantine`;
  return [
    `${region}  home to ${partitions} partitions${taken}; ${may}`,
    ...(undecided === 0 ? [] : [`  ${waits}: npx cardume regions quarantine --region ${region}`]),
    ...follows.map(({ home, partitions: copies, entries_behind: behind, behind_ms: ms, trouble }) => {
      if (trouble !== null) return `  follows ${home}: not now, since ${trouble}`;
      const age = ms === null ? 'not yet known to be up to date' : `up to date ${ms} ms ago`;
      return `  follows ${home}: ${copies} partitions, ${behind.toLocaleString('en')} entries behind, ${age}`;
    }),
  ];
}
