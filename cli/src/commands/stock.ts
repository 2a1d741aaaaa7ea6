/** `cardume stock`: what is frozen since its region was lost, and is written off when that one will not come back. */
import { Failure, WRONG_USE } from '../failure.ts';
import { type OperatorOptions, type Operators, openOperators } from '../operators.ts';
import { type Output, type Progress, progressOf } from '../progress.ts';
import type { Shell } from '../shell.ts';

export interface FrozenOptions extends OperatorOptions {
  readonly region?: string | undefined;
  readonly json?: boolean | undefined;
}

export interface WriteOffOptions extends OperatorOptions {
  readonly region: string;
  /** Stands in the log, with who it was. */
  readonly reason: string;
  readonly json?: boolean | undefined;
}

/** `screen` is where a progress bar can be drawn. */
export type StockShell = Shell & { readonly screen?: Output };

export interface FrozenStock {
  readonly product: string;
  readonly sku: string;
  /** Whose rights they are. */
  readonly region: string;
  readonly quantity: number;
}

interface ProductPage {
  readonly items: readonly { readonly id: string; readonly sku: string }[];
  readonly next: string | null;
}

interface Stock {
  readonly regions: readonly { readonly region: string; readonly frozen: number }[];
}

const PAGE = 100;
/** At once: as many as there are connections. */
const LANES = 2;
const LINES_MAX = 100;

/** @returns the exit code */
export async function frozenStock(shell: StockShell, options: FrozenOptions): Promise<number> {
  return withOperators(shell, options, async (operators, progress) => {
    const items = await frozenIn(operators, progress, options.region);
    if (options.json === true) shell.print(JSON.stringify({ items }));
    else for (const line of frozenLines(items, options.region)) shell.print(line);
  });
}

/** What was cut off goes on when it is asked for again: nothing is written off twice. @returns the exit code */
export async function writeOffStock(shell: StockShell, options: WriteOffOptions): Promise<number> {
  const { region, reason } = options;
  return withOperators(shell, options, async (operators, progress) => {
    const frozen = await frozenIn(operators, progress, region);
    if (frozen.length > 0) progress.begin('writing off', frozen.length);
    const items: FrozenStock[] = [];
    await inLanes(frozen, async (one) => {
      const path = `/products/${one.product}/stock/write-offs`;
      const { quantity } = await operators.ask<FrozenStock>('POST', path, { region, reason });
      items.push({ ...one, quantity });
      progress.advance();
    });
    progress.end();
    if (options.json === true) shell.print(JSON.stringify({ items }));
    else shell.print(writtenOffLine(items, region));
  });
}

export function frozenLines(items: readonly FrozenStock[], region: string | undefined): string[] {
  if (items.length === 0) return [`Nothing is frozen${region === undefined ? '' : ` in ${region}`}.`];
  const lines = items
    .slice(0, LINES_MAX)
    .map((one) => `${one.region}  ${one.product}  ${one.sku}  ${one.quantity.toLocaleString('en')}`);
  if (items.length > LINES_MAX) lines.push(`and ${items.length - LINES_MAX} more: see --json`);
  for (const [of, own] of Map.groupBy(items, (one) => one.region))
    lines.push(
      `${sumOf(own)} of ${of} are frozen. They are sold again when it follows again; if it will never come back:
  npx cardume stock write-off ${of} --reason '…'`,
    );
  return lines;
}

function writtenOffLine(items: readonly FrozenStock[], region: string): string {
  return items.length === 0
    ? `Nothing is frozen in ${region}.`
    : `Written off: ${sumOf(items)} of ${region}.`;
}

function sumOf(items: readonly FrozenStock[]): string {
  const pieces = items.reduce((sum, { quantity }) => sum + quantity, 0);
  return `${pieces.toLocaleString('en')} ${pieces === 1 ? 'piece' : 'pieces'} of ${items.length.toLocaleString('en')} ${items.length === 1 ? 'product' : 'products'}`;
}

async function withOperators(
  shell: StockShell,
  options: FrozenOptions,
  work: (operators: Operators, progress: Progress) => Promise<void>,
): Promise<number> {
  const operators = await openOperators(shell, options);
  const progress = progressOf(shell, options.json);
  try {
    await work(operators, progress);
    return 0;
  } finally {
    progress.end();
    operators.close();
  }
}

/** @throws Failure when there is no such region */
async function frozenIn(
  operators: Operators,
  progress: Progress,
  region: string | undefined,
): Promise<readonly FrozenStock[]> {
  const products = await productsOf(operators);
  const found: FrozenStock[] = [];
  if (products.length > 0) progress.begin('looking', products.length);
  await inLanes(products, async ({ id, sku }) => {
    const { regions } = await operators.ask<Stock>('GET', `/products/${id}/stock`);
    if (region !== undefined && !regions.some((one) => one.region === region))
      throw new Failure(
        `'${region}' is no region.`,
        `There are ${regions.map((one) => one.region).join(', ')}.`,
        WRONG_USE,
      );
    for (const { region: of, frozen } of regions)
      if (frozen > 0 && (region ?? of) === of) found.push({ product: id, sku, region: of, quantity: frozen });
    progress.advance();
  });
  progress.end();
  return found.sort((a, b) => (a.region + a.sku < b.region + b.sku ? -1 : 1));
}

async function productsOf(operators: Operators): Promise<ProductPage['items']> {
  const items: { readonly id: string; readonly sku: string }[] = [];
  for (let after = ''; ; ) {
    const page: ProductPage = await operators.ask('GET', `/products?limit=${PAGE}${after}`);
    items.push(...page.items);
    if (page.next === null) return items;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
}

async function inLanes<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      for (const item of left) await work(item);
    }),
  );
}
