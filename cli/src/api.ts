/**
 * The rim to the network: JSON over HTTP/1.1 with connections kept open. node:http instead of fetch: it costs half the
 * processor time a request and bounds the sockets. One call is one attempt; `patience.ts` decides about others.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { CardumeError } from 'cardume/base/errors';

export interface Call {
  readonly method: 'GET' | 'POST';
  /** With its query, relative to the API's address. */
  readonly path: string;
  readonly body?: unknown;
  readonly key?: string;
  /** In place of the usual ones, or beside them. Names in small letters. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answered {
  readonly status: number;
  /** Parsed JSON; null when there is none. */
  readonly body: unknown;
  /** `Retry-After`, as it was sent. */
  readonly retryAfter: string | undefined;
  /** `Idempotency-Replayed`: whether this is the remembered answer of an earlier request; null: it does not say. */
  readonly replayed: boolean | null;
}

export interface Api {
  /** @throws the error of the connection, or of a reply that is not JSON; nothing is known about the effect then */
  send(call: Call): Promise<Answered>;
  close(): void;
}

const REPLAYED: Readonly<Record<string, boolean>> = { true: true, false: false };
const replyBytesMax = 16 * 1024 * 1024;

/** @param timeoutMs of silence on the connection, after which an attempt has failed */
export function openApi(address: string, token: string, socketsMax: number, timeoutMs: number): Api {
  const base = parseAddress(address);
  const secure = base.protocol === 'https:';
  const agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: socketsMax });
  const request = secure ? httpsRequest : httpRequest;
  const prefix = base.pathname.replace(/\/$/, '');

  return {
    send: ({ method, path, body, key, headers }) =>
      new Promise((resolve, reject) => {
        const text = body === undefined ? undefined : JSON.stringify(body);
        const outgoing = request({
          protocol: base.protocol,
          hostname: base.hostname.replace(/^\[|\]$/g, ''),
          port: base.port,
          path: `${prefix}${path}`,
          method,
          agent,
          timeout: timeoutMs,
          headers: {
            authorization: `Bearer ${token}`,
            accept: 'application/json',
            ...(key === undefined ? {} : { 'idempotency-key': key }),
            ...(text === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
            ...headers,
          },
        });
        outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
        outgoing.on('error', reject);
        outgoing.on('response', (incoming) => readAnswer(incoming).then(resolve, reject));
        outgoing.end(text);
      }),
    close: () => agent.destroy(),
  };
}

/** @throws CardumeError `invalid-input` */
function parseAddress(address: string): URL {
  const url = URL.parse(address);
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  throw new CardumeError(
    'invalid-input',
    `--api ${address}: expected an address such as http://127.0.0.1:8080`,
  );
}

async function readAnswer(incoming: IncomingMessage): Promise<Answered> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of incoming as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > replyBytesMax) throw new Error(`the reply is longer than ${replyBytesMax} bytes`);
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString('utf8');
  const { headers, statusCode = 0 } = incoming;
  return {
    status: statusCode,
    body: text === '' ? null : parseJson(text, statusCode),
    retryAfter: headers['retry-after'],
    replayed: REPLAYED[String(headers['idempotency-replayed'])] ?? null,
  };
}

/** A failed request may carry a proxy's page of HTML: its status is enough. */
function parseJson(text: string, status: number): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (status >= 400) return null;
    throw new Error('the reply is not JSON', { cause: error });
  }
}
