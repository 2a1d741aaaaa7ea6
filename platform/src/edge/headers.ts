/**
 * What of a message's headers crosses the edge (RFC 9110, section 7.6): neither hop-by-hop fields nor those that
 * `Connection` names. Raw lists (name, value, name, value, …) keep order, case and repetition, and cost no object.
 */
import { COUNTRY_HEADER, REGION_HEADER, type RequestFacts } from './routing.ts';

const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Hop by hop, or set anew by the edge: lengths for the body that arrived, `Expect` is answered by Node. */
const NOT_FORWARDED = new Set([
  ...HOP_BY_HOP,
  'content-length',
  'expect',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
]);

export const SERVED_BY = 'Cardume-Served-By';

export interface Forwarded {
  /** For the region's server: without hop-by-hop fields, lengths and what the edge itself decides. */
  readonly headers: string[];
  readonly facts: RequestFacts;
  readonly hasIdempotencyKey: boolean;
  readonly wantsEvents: boolean;
  /** Bytes of the body that the request announces; null: none announced. */
  readonly contentLength: number | null;
  readonly isChunked: boolean;
}

/** @param clientAddress replaces what the client says of itself: the edge is the first hop that is trusted */
export function forwardedRequest(raw: readonly string[], clientAddress: string): Forwarded {
  const headers: string[] = [];
  const named = namedByConnection(raw);
  let region: string | null = null;
  let country: string | null = null;
  let hasIdempotencyKey = false;
  let wantsEvents = false;
  let contentLength: number | null = null;
  let isChunked = false;
  let host: string | null = null;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    const lower = name.toLowerCase();
    if (lower === 'content-length') contentLength = Number(value);
    else if (lower === 'transfer-encoding') isChunked = true;
    if (NOT_FORWARDED.has(lower) || named?.has(lower)) continue;
    switch (lower) {
      case 'host':
        host = value;
        break; // stays: it names the site, whichever region serves it
      case REGION_HEADER:
        region = value;
        continue;
      case COUNTRY_HEADER:
        country = value;
        break;
      case 'idempotency-key':
        hasIdempotencyKey = true;
        break;
      case 'accept':
        wantsEvents ||= value.includes('text/event-stream');
        break;
    }
    headers.push(name, value);
  }
  headers.push('x-forwarded-for', clientAddress, 'x-forwarded-proto', 'http');
  if (host !== null) headers.push('x-forwarded-host', host);
  return {
    headers,
    facts: { region, country },
    hasIdempotencyKey,
    wantsEvents,
    contentLength,
    isChunked,
  };
}

/** Of an answer: what the client gets. @param raw as undici has it: a list of names and values as bytes */
export function forwardedReply(raw: readonly Buffer[], region: string): string[] {
  const headers: string[] = [];
  let named: ReadonlySet<string> | null = null;
  for (let i = 0; i < raw.length; i += 2) {
    const name = (raw[i] as Buffer).toString('latin1');
    const value = (raw[i + 1] as Buffer).toString('latin1');
    const lower = name.toLowerCase();
    if (lower === 'connection') named = connectionTokens(value, named);
    if (HOP_BY_HOP.has(lower) || lower === 'cardume-served-by') continue;
    headers.push(name, value);
  }
  if (named !== null) {
    for (let i = headers.length - 2; i >= 0; i -= 2) {
      if (named.has((headers[i] as string).toLowerCase())) headers.splice(i, 2);
    }
  }
  headers.push(SERVED_BY, region);
  return headers;
}

function namedByConnection(raw: readonly string[]): ReadonlySet<string> | null {
  let named: ReadonlySet<string> | null = null;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    if (name.length === 10 && name.toLowerCase() === 'connection')
      named = connectionTokens(raw[i + 1] as string, named);
  }
  return named;
}

/** `keep-alive` and `close` name no field: the usual case makes no set. */
function connectionTokens(value: string, known: ReadonlySet<string> | null): ReadonlySet<string> | null {
  const lower = value.toLowerCase();
  if (lower === 'keep-alive' || lower === 'close') return known;
  return new Set([...(known ?? []), ...lower.split(',').map((token) => token.trim())]);
}
