/**
 * Runs a call on this instance: gives the operation's handler its context. Whether the call came through our own
 * HTTP server or over a link from another instance makes no difference here.
 */

import { CardumeError } from '../base/errors.ts';
import { newId, type Place } from '../base/id.ts';
import { type Bus, type IdempotencyKey, reading } from '../cqrs/bus.ts';
import type { Host } from '../host/host.ts';
import type { Principal } from '../identity/principal.ts';
import type { Call, PlainReply } from './call.ts';
import type { Geography, OperationContext, Reply } from './operation.ts';
import type { Route } from './route.ts';

/** What every handler stands on. */
export interface Ground {
  readonly host: Pick<Host, 'clock' | 'random' | 'crypto'>;
  readonly bus: Bus;
  readonly geography: Geography;
  readonly ports: Readonly<Record<string, unknown>>;
  /** Key of `secretDigest`, the same in the whole cluster; at least 16 bytes. */
  readonly secret: Uint8Array;
}

/** Calls the listener once, when the client is gone or the instance drains. */
export type OnGone = (listener: () => void) => void;

const NEVER_GONE: OnGone = () => {};

export interface Execution {
  run(route: Route, call: Call, onGone: OnGone): Promise<Reply>;
  /** For a call that came over a link. @throws CardumeError `not-found` when this instance knows no such operation */
  execute(call: Call): Promise<PlainReply>;
}

export function openExecution(routes: readonly Route[], ground: Ground): Execution {
  const byId = new Map(routes.map((route) => [route.operation.id, route]));
  const { clock, random, crypto } = ground.host;
  const shared: Shared = {
    bus: ground.bus,
    newId: (type, place) => newId(type, place, clock.nowMs(), random.bytes(10)),
    digest: (text) => crypto.sha256(text),
    secretDigest: (text) => crypto.hmacSha256(ground.secret, text),
    port: <Port>(name: string): Port => {
      if (!Object.hasOwn(ground.ports, name)) throw new Error(`no port '${name}' was given to the gateway`);
      return ground.ports[name] as Port;
    },
  };
  const geographies = new Map<string, Geography>([[ground.geography.here, ground.geography]]);
  /** `here` is where the request arrived, also when the call runs elsewhere. */
  function geographySeenFrom(region: string): Geography {
    let geography = geographies.get(region);
    if (geography === undefined) {
      geography = Object.create(ground.geography, { here: { value: region, enumerable: true } }) as Geography;
      geographies.set(region, geography); // as many as there are regions
    }
    return geography;
  }

  function run(route: Route, call: Call, onGone: OnGone): Promise<Reply> {
    const context = new CallContext(shared, geographySeenFrom(call.receivedIn), clock.nowMs(), call, onGone);
    return route.operation.handle(
      { params: call.params, search: call.search, body: call.body } as never,
      context,
    );
  }

  return {
    run,
    async execute(call) {
      const route = byId.get(call.operation);
      if (route === undefined)
        throw new CardumeError('not-found', `this instance has no operation '${call.operation}'`);
      const { events, ...plain } = await run(route, call, NEVER_GONE);
      // Such an operation states no place and reads through the bus, which reaches every partition.
      if (events !== undefined)
        throw new Error(`the event stream of '${call.operation}' cannot cross a link`);
      return plain as PlainReply;
    },
  };
}

type Shared = Pick<OperationContext, 'bus' | 'newId' | 'digest' | 'secretDigest' | 'port'>;

/** Functions are own fields, so that handlers may take the context apart; only the signal is made on demand. */
class CallContext implements OperationContext {
  readonly principal: Principal;
  readonly key: IdempotencyKey | null;
  readonly geography: Geography;
  readonly bus: Bus;
  readonly nowMs: number;
  readonly requestId: string;
  readonly trace: string;
  readonly ifVersion: number | undefined;
  readonly lastEventId: string | null;
  readonly newId: (type: string, place: Place) => string;
  readonly digest: (text: string) => Uint8Array;
  readonly secretDigest: (text: string) => Uint8Array;
  readonly port: <Port>(name: string) => Port;
  readonly #onGone: OnGone;
  #abort: AbortController | null = null;

  constructor(shared: Shared, geography: Geography, nowMs: number, call: Call, onGone: OnGone) {
    this.principal = call.principal;
    this.key = call.key;
    this.geography = geography;
    this.bus = call.freshness == null ? shared.bus : reading(shared.bus, call.freshness);
    this.nowMs = nowMs;
    this.requestId = call.requestId;
    this.trace = call.trace;
    this.ifVersion = call.ifVersion ?? undefined;
    this.lastEventId = call.lastEventId;
    this.newId = shared.newId;
    this.digest = shared.digest;
    this.secretDigest = shared.secretDigest;
    this.port = shared.port;
    this.#onGone = onGone;
  }

  get signal(): AbortSignal {
    let abort = this.#abort;
    if (abort === null) {
      const made = new AbortController();
      abort = made;
      this.#abort = made;
      this.#onGone(() => made.abort());
    }
    return abort.signal;
  }
}
