/**
 * HTTP without HTTP: what stands at the rim in the simulation, so that clients reach the same routes and the same
 * pipeline over connections of the simulated network. A request and its answer are one line of JSON each, many under
 * way on one connection; whatever befalls the connection befalls them: a request may be lost on its way, or be carried
 * out and its answer lost.
 *
 * Left out are header syntax, keep-alive, compression and event streams: what only HTTP's own code would see, which
 * tests over real sockets exercise.
 */
import { CardumeError } from '../../base/errors.ts';
import type { HttpOptions, HttpServer, OpenServer } from '../../gateway/http.ts';
import { parseJsonBody } from '../../gateway/json-body.ts';
import type { Outgoing } from '../../gateway/pipeline.ts';
import type { Route } from '../../gateway/route.ts';
import type { Host } from '../../host/host.ts';
import type { Address, Connection, Listener } from '../../host/network.ts';

export interface SimulatedRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Text of the body, as a client would write it. */
  readonly body?: string;
}

export interface SimulatedReply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed when it is JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: clients look at documents of many shapes
  readonly body: any;
}

/** No answer came. */
export class NoAnswer extends Error {
  /** The request may have been carried out, or may yet be. */
  readonly mayHaveHappened: boolean;

  constructor(message: string, mayHaveHappened: boolean) {
    super(message);
    this.mayHaveHappened = mayHaveHappened;
  }
}

interface Line {
  readonly number: number;
}

export function simulatedHttp({ network, clock }: Pick<Host, 'network' | 'clock'>): OpenServer {
  return async (options) => serverOver(network, clock, options);
}

function serverOver(
  network: Host['network'],
  clock: Host['clock'],
  { routes, pipeline, pages, bounds }: HttpOptions,
): HttpServer {
  let listener: Listener | null = null;
  let draining = false;
  let underWay = 0;
  let whenEmpty: (() => void) | null = null;

  function accept(connection: Connection): void {
    const gone = new Set<() => void>();
    connection.onClose(() => {
      for (const one of gone) one();
      gone.clear();
    });
    onLines(connection, (line) => {
      const { number, ...request } = line as SimulatedRequest & Line;
      underWay += 1;
      void inTime(answer(request, (one) => gone.add(one))).then((outgoing) => {
        connection.write(lineOf({ number, ...plainOf(outgoing) }));
        underWay -= 1;
        if (underWay === 0) whenEmpty?.();
      });
    });
  }

  async function answer(
    { method, path, headers = {}, body = '' }: SimulatedRequest,
    onGone: (listener: () => void) => void,
  ): Promise<Outgoing> {
    const { pathname, searchParams } = new URL(path, 'http://simulated');
    const page = pages.get(pathname);
    if (page !== undefined) {
      const { status, body: text } = await page();
      return { status, headers: [], body: text, events: null };
    }
    const found = find(routes, method, pathname);
    try {
      if (found === null) throw new CardumeError('not-found', `there is no ${method} ${pathname}`);
      const incoming = {
        method,
        headers,
        params: found.params,
        search: Object.fromEntries(searchParams),
        body: parseJsonBody(Buffer.from(body)),
        clientAddress: '10.0.0.1',
        onGone,
      };
      return await pipeline.answer(found.route, incoming);
    } catch (error) {
      return pipeline.refuse(headers, '10.0.0.1', error);
    }
  }

  /** As at the rim: a request that is not answered in time is answered for. */
  function inTime(answered: Promise<Outgoing>): Promise<Outgoing> {
    return new Promise((resolve) => {
      const late = clock.after(bounds.requestTimeoutMs, () => {
        resolve(pipeline.refuse({}, '10.0.0.1', new CardumeError('deadline-exceeded', 'it took too long')));
      });
      void answered.then((outgoing) => {
        late.cancel();
        resolve(outgoing);
      });
    });
  }

  async function close(): Promise<void> {
    await listener?.close();
  }

  return {
    get draining() {
      return draining;
    },
    async listen(address) {
      listener = await network.listen(address, accept);
      return listener.address;
    },
    async drain() {
      draining = true;
      if (underWay > 0) {
        await new Promise<void>((resolve) => {
          whenEmpty = resolve;
          clock.after(bounds.drainTimeoutMs, resolve);
        });
      }
      await close();
    },
    close,
  };
}

function plainOf({ status, headers, body }: Outgoing): SimulatedReply {
  const named: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2) named[headers[i] as string] = headers[i + 1] as string;
  const text = body === null ? '' : Buffer.from(body).toString();
  return { status, headers: named, body: text };
}

function find(
  routes: readonly Route[],
  method: string,
  path: string,
): { readonly route: Route; readonly params: Record<string, string> } | null {
  const given = path.split('/');
  for (const route of routes) {
    if (route.operation.method !== method) continue;
    const wanted = route.operation.path.split('/');
    if (wanted.length !== given.length) continue;
    const params: Record<string, string> = {};
    const fits = wanted.every((part, i) => {
      const text = given[i] as string;
      if (!part.startsWith('{')) return part === text;
      params[part.slice(1, -1)] = decodeURIComponent(text);
      return text !== '';
    });
    if (fits) return { route, params };
  }
  return null;
}

export interface SimulatedClient {
  /** @throws NoAnswer */
  ask(to: Address, request: SimulatedRequest, timeoutMs: number): Promise<SimulatedReply>;
}

interface Waiting {
  resolve(reply: SimulatedReply): void;
  reject(error: NoAnswer): void;
}

interface Link {
  readonly connection: Connection;
  readonly waiting: Map<number, Waiting>;
}

/** One connection to each address, opened anew after it ended. */
export function simulatedClient({ network, clock }: Pick<Host, 'network' | 'clock'>): SimulatedClient {
  const links = new Map<string, Promise<Link>>();
  let requests = 0;

  function linkTo(to: Address, timeoutMs: number): Promise<Link> {
    const name = `${to.host}:${to.port}`;
    let link = links.get(name);
    if (link === undefined) {
      link = network.connect(to, timeoutMs).then((connection) => open(connection, name));
      links.set(name, link);
      link.catch(() => links.delete(name));
    }
    return link;
  }

  function open(connection: Connection, name: string): Link {
    const waiting = new Map<number, Waiting>();
    connection.onClose((reason) => {
      links.delete(name);
      for (const one of waiting.values()) one.reject(new NoAnswer(reason, true));
      waiting.clear();
    });
    onLines(connection, (line) => {
      const { number, ...reply } = line as SimulatedReply & Line;
      const one = waiting.get(number);
      waiting.delete(number);
      one?.resolve({ ...reply, body: jsonOr(reply.body) });
    });
    return { connection, waiting };
  }

  return {
    async ask(to, request, timeoutMs) {
      const { connection, waiting } = await linkTo(to, timeoutMs).catch((error: Error) => {
        throw new NoAnswer(error.message, false);
      });
      requests += 1;
      const number = requests;
      return new Promise((resolve, reject) => {
        const late = clock.after(timeoutMs, () => {
          waiting.delete(number);
          reject(new NoAnswer(`no answer within ${timeoutMs} ms`, true));
        });
        waiting.set(number, {
          resolve(reply) {
            late.cancel();
            resolve(reply);
          },
          reject(error) {
            late.cancel();
            reject(error);
          },
        });
        connection.write(lineOf({ number, ...request }));
      });
    },
  };
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function lineOf(value: Line): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

function onLines(connection: Connection, listener: (line: unknown) => void): void {
  let rest = Buffer.alloc(0);
  connection.onData((bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = rest.subarray(0, end).toString();
      rest = rest.subarray(end + 1);
      listener(JSON.parse(line));
    }
  });
}
