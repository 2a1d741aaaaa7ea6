/** A retailer's orders as part of a drill's traffic: the import runs through the fault, and must end exact. */

import { isCardumeError } from 'cardume/base';
import { Failure } from '../failure.ts';
import { importRetail } from '../retail/retail.ts';
import type { ImportSummary } from '../retail/summary.ts';
import type { Shell } from '../shell.ts';
import type { Grounds } from './grounds.ts';

export interface ImportOutcome {
  /** Every invoice is a confirmed order. */
  readonly complete: boolean;
  /** Revenue by country is the file's, to the last digit. */
  readonly isExact: boolean;
  readonly countries: number;
  /** Decimal text. */
  readonly file: string;
  readonly platform: string;
  readonly orders: number;
  readonly retries: number;
  readonly seconds: number;
  readonly problem: string;
}

export interface Import {
  /** Resolves when it places orders. */
  underWay(): Promise<void>;
  ended(): Promise<ImportOutcome | null>;
}

export const noImport: Import = { underWay: async () => {}, ended: async () => null };

/** Most of the time an order waits for a second region. */
const CONCURRENCY = 32;

export function beginImport(
  shell: Shell,
  grounds: Grounds,
  options: {
    readonly file: string;
    readonly folder: string;
    readonly token: string;
    readonly limit?: number | undefined;
  },
  tell: (text: string) => void,
): Import {
  const placing = Promise.withResolvers<void>();
  const stderr = {
    write(text: string): void {
      if (text.startsWith('orders')) placing.resolve();
      tell(text.trimEnd());
    },
  };
  const running = importRetail({
    file: options.file,
    api: grounds.url,
    token: options.token,
    concurrency: CONCURRENCY,
    data: options.folder,
    limit: options.limit,
    stdout: { write: () => {} },
    stderr,
    host: shell.host,
  });
  const outcome = running.then(outcomeOf, (error: unknown) => {
    if (!isCardumeError(error)) throw error;
    throw new Failure(`The import ended: ${error.message}.`);
  });
  outcome.catch(() => {}); // whoever waits is told
  return {
    async underWay() {
      await Promise.race([placing.promise, outcome]);
    },
    ended: () => outcome,
  };
}

function outcomeOf({
  complete,
  revenue,
  revenue_problem,
  orders,
  retries,
  duration_s,
  stopped,
}: ImportSummary): ImportOutcome {
  // The drill's own orders are in another currency.
  return {
    complete,
    isExact: revenue?.equal === true,
    countries: revenue?.countries.length ?? 0,
    file: revenue?.file ?? '',
    platform: revenue?.platform ?? '',
    orders: orders.confirmed,
    retries,
    seconds: duration_s,
    problem: [revenue_problem, stopped ?? ''].filter((text) => text !== '').join('; '),
  };
}
