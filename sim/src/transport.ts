/** How clients reach a region: over the simulated network, or over HTTP to real processes. */

export interface Request {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly token?: string | undefined;
  /** Idempotency-Key. */
  readonly key?: string | undefined;
  readonly body?: unknown;
}

export interface Reply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  // biome-ignore lint/suspicious/noExplicitAny: clients look at documents of many shapes
  readonly body: any;
}

export interface Transport {
  /** @returns null when no answer came in time: the request may have been carried out, or may yet be */
  ask(region: string, request: Request, timeoutMs: number): Promise<Reply | null>;
}

export function headersOf({ token, key, body }: Request): Record<string, string> {
  return {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(key === undefined ? {} : { 'idempotency-key': key }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
}
