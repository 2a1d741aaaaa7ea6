/** `cardume reshard SERVICE`: partitions move between the shards of a region while they are used. */
import { Failure, WRONG_USE } from '../failure.ts';
import {
  type OperatorOptions,
  openOperators,
  parsePartition,
  partitionText,
  type RegionShards,
  type ReshardLine,
} from '../operators.ts';
import { type Output, type Progress, progressOf } from '../progress.ts';
import type { Shell } from '../shell.ts';

export interface ReshardOptions extends OperatorOptions {
  readonly service: string;
  readonly region: string;
  readonly to?: number | undefined;
  readonly engine?: string | undefined;
  /** Each `SCOPE/PARTITION=SHARD`. */
  readonly move?: readonly string[] | undefined;
  readonly status?: boolean | undefined;
  readonly rollback?: boolean | undefined;
  readonly cancel?: boolean | undefined;
  readonly finish?: boolean | undefined;
  /** False: `--no-wait`. */
  readonly wait?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** `screen` is where a progress bar can be drawn. */
export type ReshardShell = Shell & { readonly screen?: Output };

const LOOK_EVERY_MS = 250;

/** @returns the exit code */
export async function reshard(shell: ReshardShell, options: ReshardOptions): Promise<number> {
  const request = requestOf(options);
  const operators = await openOperators(shell, options);
  const path = `/operators/regions/${encodeURIComponent(options.region)}`;
  const look = (): Promise<RegionShards> => operators.ask('GET', `${path}/shards`);
  try {
    if (request === null) return report(shell, options, await look());
    const begun = await operators.ask<RegionShards>('POST', `${path}/${request.path}`, request.body);
    if (options.wait === false) return report(shell, options, begun);
    shell.onSignal(() => {
      shell.complain('\nIt goes on without this command: --status shows how far it is.');
      shell.exit(0);
    });
    const progress = progressOf(shell, options.json);
    return report(shell, options, await ended(shell, look, progress), begun.reshard);
  } finally {
    operators.close();
  }
}

function requestOf(options: ReshardOptions): { readonly path: string; readonly body?: unknown } | null {
  const { service, to, engine, move, status, rollback, cancel, finish } = options;
  const chosen = [to !== undefined, move !== undefined, status, rollback, cancel, finish].filter(
    (one) => one === true,
  );
  if (chosen.length !== 1) {
    throw new Failure(
      'A reshard takes one of --to, --move, --status, --rollback, --cancel and --finish.',
      '`npx cardume reshard --help` shows examples.',
      WRONG_USE,
    );
  }
  if (status === true) return null;
  if (finish === true) return { path: 'reshard/finish' };
  if (rollback === true || cancel === true) return { path: 'reshard/rollback' };
  const moves = move?.map((text) => {
    const [place = '', name = ''] = text.split('=');
    const partition = parsePartition(place);
    if (partition === null || name === '')
      throw new Failure(
        `'${text}' is no move.`,
        'Write it as 3/7=orders-1: scope, partition, shard.',
        WRONG_USE,
      );
    return { partition, to: name };
  });
  return { path: 'reshard', body: { service, to, engine, moves } };
}

/** Waits until partitions have moved, or until there is no reshard any more. */
async function ended(
  shell: Shell,
  look: () => Promise<RegionShards>,
  progress: Progress,
): Promise<RegionShards> {
  let phase: string | null = null;
  let total = 0;
  let done = 0;
  let trouble: string | null = null;
  for (;;) {
    const now = await look();
    const { reshard: own } = now;
    if (own === null || own.phase === 'following') {
      if (phase !== null) {
        progress.advance(total - done);
        progress.end();
      }
      return now;
    }
    if (own.phase !== phase) {
      progress.advance(total - done);
      phase = own.phase;
      total = own.moves.length;
      progress.begin(LABELS[own.phase], total);
      done = 0;
    }
    const count = doneIn(own);
    progress.advance(count - done);
    done = count;
    if (own.trouble !== null && own.trouble !== trouble) progress.note(`It stands still: ${own.trouble}`);
    trouble = own.trouble;
    await shell.host.clock.sleep(LOOK_EVERY_MS);
  }
}

const LABELS: Record<ReshardLine['phase'], string> = {
  moving: 'moving partitions',
  following: '',
  returning: 'moving partitions back',
  dropping: 'deleting copies',
};

function doneIn({ phase, moves }: ReshardLine): number {
  const moved = moves.filter(({ state }) => state === 'moved').length;
  return phase === 'returning' ? moves.length - moved : phase === 'moving' ? moved : 0;
}

function report(
  shell: Shell,
  { json, region, service }: ReshardOptions,
  now: RegionShards,
  before: ReshardLine | null = null,
): number {
  if (json === true) {
    shell.print(JSON.stringify(now));
    return 0;
  }
  const { reshard: own } = now;
  if (own === null) {
    shell.print(
      before === null
        ? `No reshard is under way in ${region}.`
        : `Done. \`npx cardume shards --region ${region}\` shows what stands.`,
    );
    return 0;
  }
  shell.print(reshardLine(own));
  const held = own.moves.flatMap(({ held_ms: ms }) => (ms === null ? [] : [ms]));
  const verified = own.moves.flatMap((one) => (one.verified === null ? [] : [one.verified]));
  const sum = (what: 'entries' | 'rows'): string =>
    verified.reduce((total, one) => total + one[what], 0).toLocaleString('en');
  if (verified.length > 0)
    shell.print(
      `Verified: ${verified.length} partitions, ${sum('entries')} entries, ${sum('rows')} rows of read models.`,
    );
  if (held.length > 0) shell.print(`Callers of a partition waited for at most ${Math.max(...held)} ms.`);
  if (own.phase === 'following') {
    shell.print(`What moved is followed by what it left behind. Now one of:
  npx cardume reshard ${service} --region ${region} --finish     delete what was left behind
  npx cardume reshard ${service} --region ${region} --rollback   bring everything back`);
  }
  return 0;
}

/** In one line. */
export function reshardLine({ service, phase, moves, trouble }: ReshardLine): string {
  const moved = moves.filter(({ state }) => state === 'moved').length;
  const under = moves.find(({ state }) => state === 'copying');
  const left = under?.entries_left ?? null;
  const behind = left === null ? '' : ` with ${left.toLocaleString('en')} entries to go`;
  const doing =
    under === undefined ? '' : `, ${partitionText(under.partition)} is on its way to ${under.to}${behind}`;
  const still = trouble === null ? '' : `; it stands still: ${trouble}`;
  return `A reshard of ${service} is ${phase}: ${moved} of ${moves.length} partitions have moved${doing}${still}.`;
}
