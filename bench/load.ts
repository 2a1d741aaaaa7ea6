/** HTTP load, as all benchmarks here apply it. The servers run in other processes than this. */
// @ts-expect-error: the package has no types
import autocannon from 'autocannon';

export interface LoadOptions {
  readonly url: string;
  readonly connections: number;
  /** Requests under way on one connection. */
  readonly pipelining?: number;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Of each request anew; the headers come beside those above. */
  readonly each?: () => Each;
}

export interface Each {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Request extends Each {
  readonly setupRequest: (request: Request) => Request;
}

function requestsOf({ each, headers = {} }: LoadOptions): { readonly requests?: Partial<Request>[] } {
  if (each === undefined) return {};
  return {
    requests: [
      {
        setupRequest(request) {
          const own = each();
          return { ...request, headers: { ...headers, ...own.headers }, body: own.body };
        },
      },
    ],
  };
}

/** The part of autocannon's result that is read. */
interface Result {
  readonly non2xx: number;
  readonly errors: number;
  readonly requests: { readonly average: number };
}

/** @returns answers per second; any faulty answer is an error */
export async function loadFor(seconds: number, options: LoadOptions): Promise<number> {
  const result = (await autocannon({ ...options, ...requestsOf(options), duration: seconds })) as Result;
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${options.url}: ${result.non2xx} faulty answers, ${result.errors} errors`);
  }
  return result.requests.average;
}

/** Resolves with the last of so many answers, not when autocannon notices: it looks once a second. */
export function loadOf(amount: number, options: LoadOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    let answers = 0;
    const run = autocannon(
      { ...options, ...requestsOf(options), amount },
      (error: Error | null, { errors }: Result) => {
        if (error !== null || errors > 0) reject(error ?? new Error(`${options.url}: ${errors} errors`));
      },
    ) as NodeJS.EventEmitter;
    run.on('response', (_client: unknown, status: number) => {
      if (status >= 300) reject(new Error(`${options.url}: answered ${status}`));
      answers += 1;
      if (answers === amount) resolve();
    });
  });
}
