/** How clients reach a region: over the simulated network, or over HTTP to real processes. */

export interface Request {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly token?: string | undefined;
  /** Idempotency-Key. */
  readonly key?: string | undefined;
  /** Cardume-Max-Staleness-Ms. */
  readonly staleMs?: number | undefined;
  /** Cardume-Token. */
  readonly seen?: string | undefined;
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

export function headersOf({ token, key, staleMs, seen, body }: Request): Record<string, string> {
  return {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(key === undefined ? {} : { 'idempotency-key': key }),
    ...(staleMs === undefined ? {} : { 'cardume-max-staleness-ms': String(staleMs) }),
    ...(seen === undefined ? {} : { 'cardume-token': seen }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
}
