/** `cardume regions quarantine`: what was cut off copies, and what is to become of it. */
import { FAILED, Failure, WRONG_USE } from '../failure.ts';
import { type OperatorOptions, type Operators, openOperators, parsePartition } from '../operators.ts';
import { type Output, progressOf } from '../progress.ts';
import type { Shell } from '../shell.ts';

interface Scope extends OperatorOptions {
  readonly region?: string | undefined;
  readonly service?: string | undefined;
  /** `SCOPE/PARTITION` */
  readonly partition?: string | undefined;
  readonly json?: boolean | undefined;
}

export interface QuarantineOptions extends Scope {
  /** What was decided, too. */
  readonly decided?: boolean | undefined;
  readonly limit?: number | undefined;
}

export interface DecideOptions extends Scope {
  readonly how: 'resubmit' | 'discard';
  readonly ids: readonly string[];
  readonly all?: boolean | undefined;
}

/** `screen` is where a progress bar can be drawn. */
export type QuarantineShell = Shell & { readonly screen?: Output };

export interface QuarantineLine {
  readonly id: string;
  readonly stream: string;
  readonly version: number | null;
  readonly type: string;
  readonly at_ms: number;
  readonly idempotency_key: string | null;
  readonly decided: { readonly as: string; readonly by: string; readonly at_ms: number } | null;
}

interface Page {
  readonly items: readonly QuarantineLine[];
  readonly unreachable: readonly string[];
  readonly next: string | null;
}

export interface Left {
  readonly ids: readonly string[];
  readonly stream: string;
  readonly why: string;
  readonly retryable: boolean;
}

interface Decided {
  readonly entries: number;
  readonly left: readonly Left[];
  readonly next: string | null;
}

const PATH = '/operators/quarantine';
const PAGE = 100;
const LINES_MAX = 100;
/** Of the API, for one request. */
const IDS_MAX = 100;
const STREAMS_SHOWN_MAX = 20;

/** @returns the exit code */
export async function quarantine(shell: QuarantineShell, options: QuarantineOptions): Promise<number> {
  const { region, limit = LINES_MAX, decided = false, json } = options;
  const search = new URLSearchParams({ state: decided ? 'all' : 'undecided' });
  for (const [name, value] of Object.entries(scopeOf(options))) search.set(name, String(value));
  const operators = await openOperators(shell, options);
  try {
    const items: QuarantineLine[] = [];
    const unreachable: string[] = [];
    let next: string | null = null;
    do {
      search.set('limit', String(Math.min(PAGE, limit - items.length)));
      if (next !== null) search.set('after', next);
      const page: Page = await operators.ask('GET', `${PATH}?${search}`);
      items.push(...page.items);
      unreachable.push(...page.unreachable);
      next = page.next;
    } while (next !== null && items.length < limit);
    if (json === true) {
      shell.print(JSON.stringify({ items, unreachable }));
      return 0;
    }
    for (const line of quarantineLines(items)) shell.print(line);
    for (const one of unreachable)
      shell.print(`${one} cannot be reached: what stands there is not in this list.`);
    if (next !== null)
      shell.print(
        `There may be more than these ${items.length}: --limit shows more, --service and --partition less.`,
      );
    const open = items.find((one) => one.decided === null);
    if (open !== undefined) shell.print(adviceFor(region ?? (open.id.split('/')[0] as string), open.id));
    else if (items.length === 0 && unreachable.length === 0)
      shell.print(`Nothing waits for a decision${region === undefined ? '' : ` in ${region}`}.`);
    return 0;
  } finally {
    operators.close();
  }
}

export function quarantineLines(items: readonly QuarantineLine[]): string[] {
  return items.map(({ id, stream, version, type, at_ms: atMs, idempotency_key: key, decided }) => {
    const what = version === null ? 'an answer without an event' : `${type}, version ${version}`;
    const asked = key === null ? 'no idempotency key' : 'with an idempotency key';
    const then =
      decided === null ? '' : `; ${decided.as} by ${decided.by} at ${new Date(decided.at_ms).toISOString()}`;
    return `${id}  ${stream}  ${what}, of ${new Date(atMs).toISOString()}, ${asked}${then}`;
  });
}

function adviceFor(region: string, id: string): string {
  return `Their partitions have gone on without these. Now one of:
  npx cardume regions quarantine resubmit --all --region ${region}   append them, where that is still right
  npx cardume regions quarantine resubmit ${id}   only this one
  npx cardume regions quarantine discard --all --region ${region}    give them up; they stay, with who decided`;
}

/** @returns the exit code */
export async function decideQuarantine(shell: QuarantineShell, options: DecideOptions): Promise<number> {
  const { how, ids, all = false, region, json } = options;
  const isWhole = all && ids.length === 0 && region !== undefined;
  if (!isWhole && (all || ids.length === 0))
    throw new Failure(
      'It takes ids, or else --all and --region.',
      '`npx cardume regions quarantine` lists the ids.',
      WRONG_USE,
    );
  const body = scopeOf(options);
  const operators = await openOperators(shell, options);
  const progress = progressOf(shell, json);
  const done = { entries: 0, left: [] as Left[] };
  const add = ({ entries, left }: Decided): void => {
    done.entries += entries;
    done.left.push(...left);
    progress.advance(entries + left.reduce((sum, one) => sum + one.ids.length, 0));
  };
  try {
    progress.begin(LABELS[how], isWhole ? await undecidedIn(operators, region as string) : ids.length);
    if (isWhole) {
      let after: string | null = null;
      do {
        const where = after === null ? body : { ...body, after };
        const part: Decided = await operators.ask('POST', `${PATH}/${how}`, where);
        add(part);
        after = part.next;
      } while (after !== null);
    } else {
      for (const entries of parts(ids)) add(await operators.ask('POST', `${PATH}/${how}`, { entries }));
    }
    progress.end();
    if (json === true) shell.print(JSON.stringify(done));
    else for (const line of decidedLines(how, done)) shell.print(line);
    return done.left.length === 0 ? 0 : FAILED;
  } finally {
    progress.end();
    operators.close();
  }
}

const LABELS = { resubmit: 'submitting', discard: 'discarding' };

async function undecidedIn(operators: Operators, region: string): Promise<number> {
  const { regions } = await operators.ask<{
    readonly regions: readonly { readonly region: string; readonly undecided: number }[];
  }>('GET', '/operators/regions');
  return regions.find((one) => one.region === region)?.undecided ?? 0;
}

/** Of one region each, and no more than one request takes. */
export function parts(ids: readonly string[]): readonly (readonly string[])[] {
  return [...Map.groupBy(ids, (id) => id.split('/')[0]).values()].flatMap((own) =>
    Array.from({ length: Math.ceil(own.length / IDS_MAX) }, (_, i) =>
      own.slice(i * IDS_MAX, (i + 1) * IDS_MAX),
    ),
  );
}

export function decidedLines(
  how: DecideOptions['how'],
  { entries, left }: Pick<Decided, 'entries' | 'left'>,
): string[] {
  if (entries + left.length === 0) return ['Nothing of that waits for a decision.'];
  const lines = [
    `${how === 'resubmit' ? 'Submitted again' : 'Discarded'}: ${counted(entries, 'entry', 'entries')}.`,
  ];
  if (left.length === 0) return lines;
  lines.push(`Not taken, and still in the quarantine: ${counted(left.length, 'stream', 'streams')}.`);
  for (const { stream, ids, why } of left.slice(0, STREAMS_SHOWN_MAX))
    lines.push(`  ${stream}, ${counted(ids.length, 'entry', 'entries')} from ${ids[0]} on: ${why}`);
  if (left.length > STREAMS_SHOWN_MAX)
    lines.push(`  and ${left.length - STREAMS_SHOWN_MAX} more: see --json`);
  if (left.some(({ retryable }) => retryable))
    lines.push('Some of it could not be found out: ask again in a moment. Nothing is appended twice.');
  if (left.some(({ retryable }) => !retryable))
    lines.push(
      'What has gone on without them cannot take them any more: `quarantine discard` gives them up.',
    );
  return lines;
}

const counted = (count: number, one: string, more: string): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : more}`;

function scopeOf({ region, service, partition }: Scope): {
  region?: string;
  service?: string;
  partition?: number;
} {
  const key = partition === undefined ? undefined : parsePartition(partition);
  if (key === null)
    throw new Failure(`'${partition}' is no partition.`, 'Write it as 3/7: scope, partition.', WRONG_USE);
  return {
    ...(region === undefined ? {} : { region }),
    ...(service === undefined ? {} : { service }),
    ...(key === undefined ? {} : { partition: key }),
  };
}
