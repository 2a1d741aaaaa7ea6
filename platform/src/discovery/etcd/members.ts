/**
 * The members of etcd over their JSON gateway (`/v3/…`, since 3.4), by HTTP: one call, one answer, or a stream of messages.
 * Decision 0018 says why not gRPC. A call goes to the member that answered last; what has not been sent, or may be sent
 * again, goes on to the others until the deadline.
 */
import type { Dispatcher } from 'undici';
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import type { Clock, Timer } from '../../host/host.ts';
import { type HttpPool, openHttpPool } from '../../links/http-pool.ts';
import { lines } from './lines.ts';
import { failureOf, isNoLeader, isSignedOut, type Message, refusal } from './message.ts';

export interface MembersOptions {
  /** `host:port`. */
  readonly endpoints: readonly string[];
  /** Absent: plain HTTP. Without `ca`, the system's authorities. */
  readonly tls?: { readonly ca?: string | undefined } | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** Of one call, whatever it takes; of silence in a stream, until it is asked whether the member is there. */
  readonly timeoutMs: number;
}

/** Of a call that was sent, and not answered: `read` changed nothing, `again` may be sent again, `once` may not. */
export type Kind = 'read' | 'again' | 'once';

export interface Members {
  /** @throws CardumeError `partition-unavailable`, `unknown-outcome`, `overloaded`, `fenced` for a lease that is not there */
  call(path: string, body: Message, kind: Kind): Promise<Message>;
  /** @throws CardumeError `partition-unavailable` also when the member has gone, or does not hear its cluster any more */
  stream(path: string, body: Message, signal: AbortSignal): AsyncIterable<Message>;
  /** The token is of no use any more. */
  signOut(): void;
  close(): Promise<void>;
}

/** With one member. Each stream has one of its own. */
const CONNECTIONS_MAX = 16;
const STREAMS_MAX = 256;
const CALLS_MAX = 1_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** When no member can serve, before all are asked again. */
const PAUSE_MS = 100;
/** A broken connection without traffic is found by the system. */
const KEEP_ALIVE_MS = 5_000;
const SIGN_INS_MAX = 2;

interface Member {
  readonly endpoint: string;
  readonly calls: HttpPool;
  readonly streams: HttpPool;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Nothing has left, or what had left has no answer. */
class Unanswered extends Error {
  readonly wasSent: boolean;
  constructor(what: string, wasSent: boolean) {
    super(what);
    this.wasSent = wasSent;
  }
}

export function openMembers(clock: Clock, options: MembersOptions): Members {
  const { endpoints, tls, user, password, timeoutMs } = options;
  const connect = {
    timeout: Math.max(50, Math.floor(timeoutMs / 2)),
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
    ...(tls?.ca === undefined ? {} : { ca: tls.ca }),
  };
  const members = endpoints.map((endpoint): Member => {
    const origin = `${tls === undefined ? 'http' : 'https'}://${endpoint}`;
    const common = { connect, allowH2: false, headersTimeout: 0, bodyTimeout: 0 };
    return {
      endpoint,
      calls: openHttpPool(origin, { ...common, connections: CONNECTIONS_MAX }),
      streams: openHttpPool(origin, { ...common, connections: STREAMS_MAX }),
    };
  });
  /** What one member has of a call that may go on to the others; also for a sign-in, by which a call may be longer. */
  const shareMs = timeoutMs / members.length;
  const closed = new AbortController();
  /** The member that answered last. */
  let at = 0;
  let calls = 0;
  let streams = 0;
  let token: Promise<string> | null = null;

  const next = (member: Member): void => {
    if (members[at] === member) at = (at + 1) % members.length;
  };

  function headers(authorization: string | null, limitMs: number | null): Record<string, string> {
    return {
      'content-type': 'application/json',
      // A member that knows no leader says so at once, instead of holding what it was asked.
      'grpc-metadata-hasleader': 'true',
      ...(limitMs === null ? {} : { 'grpc-timeout': `${Math.max(1, Math.ceil(limitMs))}m` }),
      ...(authorization === null ? {} : { authorization }),
    };
  }

  /** One attempt. @throws Unanswered */
  function attempt(
    member: Member,
    path: string,
    body: Message,
    limitMs: number,
    authorization: string | null,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      let controller: Dispatcher.DispatchController | null = null;
      let over: string | null = null;
      let status = 0;
      let bytes = 0;
      const chunks: Buffer[] = [];
      const end = (why: string): void => {
        over ??= why;
        timer.cancel();
        closed.signal.removeEventListener('abort', leave);
        reject(new Unanswered(over, controller !== null));
        controller?.abort(new Error(over));
      };
      const leave = (): void => end('was left: the instance is shutting down');
      const timer = clock.after(limitMs, () => end(`did not answer within ${Math.ceil(limitMs)} ms`));
      closed.signal.addEventListener('abort', leave);
      member.calls.dispatch(
        { method: 'POST', path, body: JSON.stringify(body), headers: headers(authorization, limitMs) },
        {
          onRequestStart(started) {
            if (over !== null) started.abort(new Error(over));
            else controller = started;
          },
          onResponseStart(_, code) {
            status = code;
          },
          onResponseData(_, chunk) {
            bytes += chunk.length;
            if (bytes > ANSWER_BYTES_MAX) end(`answers with more than ${ANSWER_BYTES_MAX} bytes`);
            else chunks.push(chunk);
          },
          onResponseEnd() {
            timer.cancel();
            closed.signal.removeEventListener('abort', leave);
            resolve({ status, text: Buffer.concat(chunks).toString() });
          },
          onResponseError: (_, error) => end(causeOf(error)),
        },
      );
    });
  }

  /** @throws CardumeError when nobody lets the user in; Unanswered */
  async function signIn(member: Member): Promise<string> {
    const { status, text } = await attempt(
      ...[member, '/v3/auth/authenticate', { name: user, password } as Message, shareMs, null],
    );
    if (status === 200) return String(parsed(member, text)['token']);
    const failure = failureOf(text);
    if (isNoLeader(failure)) throw new Unanswered(`says ${failure.message}`, false);
    throw new CardumeError('partition-unavailable', `etcd does not let '${user}' in: ${failure.message}`);
  }

  /** @returns null without a user @throws as `signIn` does */
  function tokenBy(member: Member): Promise<string> | null {
    if (user === undefined) return null;
    if (token === null) {
      const signing = signIn(member).catch((error: unknown) => {
        if (token === signing) token = null;
        throw error instanceof Unanswered ? new Unanswered(error.message, false) : error;
      });
      token = signing;
    }
    return token;
  }

  const leaving = (): CardumeError => new CardumeError('draining', 'the instance is shutting down');

  async function call(path: string, body: Message, kind: Kind): Promise<Message> {
    if (closed.signal.aborted) throw leaving();
    if (calls >= CALLS_MAX) throw new CardumeError('overloaded', `${CALLS_MAX} calls to etcd are under way`);
    calls += 1;
    try {
      return await untilAnswered(path, body, kind);
    } finally {
      calls -= 1;
    }
  }

  async function untilAnswered(path: string, body: Message, kind: Kind): Promise<Message> {
    const endMs = clock.monotonicMs() + timeoutMs;
    let isInDoubt = false;
    let last = '';
    let signIns = 0;
    for (let tries = 1; ; tries += 1) {
      if (closed.signal.aborted && !isInDoubt) throw leaving();
      const leftMs = endMs - clock.monotonicMs();
      if (leftMs <= 0 || closed.signal.aborted) {
        const code = isInDoubt ? 'unknown-outcome' : 'partition-unavailable';
        throw new CardumeError(code, `etcd has not answered within ${timeoutMs} ms: ${last}`);
      }
      const member = members[at] as Member;
      let limitMs = leftMs;
      try {
        const authorization = await tokenBy(member);
        // What may be sent again leaves time for the others.
        limitMs = Math.min(endMs - clock.monotonicMs(), kind === 'once' ? timeoutMs : shareMs);
        const { status, text } = await attempt(member, path, body, Math.max(1, limitMs), authorization);
        if (status === 200) return parsed(member, text);
        const failure = failureOf(text);
        last = `${member.endpoint} says ${failure.message}`;
        if (isSignedOut(failure) && user !== undefined && signIns < SIGN_INS_MAX) {
          token = null;
          signIns += 1;
          continue;
        }
        if (!isNoLeader(failure)) {
          const refused = refusal(failure, user);
          if (refused !== null) throw isInDoubt && refused.code !== 'fenced' ? doubtful(refused) : refused;
          next(member);
          if (kind === 'once') throw doubtful(failure);
          isInDoubt ||= kind === 'again';
        }
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error;
        next(member);
        // What the deadline cuts short says nothing about the member.
        if (last === '' || limitMs >= shareMs / 2) last = `${member.endpoint} ${error.message}`;
        if (error.wasSent && kind === 'once') throw doubtful(error);
        isInDoubt ||= error.wasSent && kind === 'again';
      }
      next(member);
      if (tries % members.length === 0)
        await clock.sleep(Math.max(1, Math.min(PAUSE_MS, endMs - clock.monotonicMs())));
    }
  }

  async function* stream(path: string, body: Message, signal: AbortSignal): AsyncIterable<Message> {
    if (streams >= STREAMS_MAX) throw new CardumeError('overloaded', `${STREAMS_MAX} watches are under way`);
    streams += 1;
    try {
      for (let tries = 1; ; tries += 1) {
        const member = members[at] as Member;
        const progress = { hasBegun: false };
        try {
          yield* streamOf(member, path, body, signal, progress);
          return;
        } catch (error) {
          next(member);
          if (isCardumeError(error)) throw error;
          if (!progress.hasBegun && tries < members.length && !signal.aborted) continue;
          const detail = `${member.endpoint} ${(error as Error).message}`;
          throw new CardumeError('partition-unavailable', detail, { cause: error });
        }
      }
    } finally {
      streams -= 1;
    }
  }

  /** @throws Error with what the member did; CardumeError for what all of them would say */
  async function* streamOf(
    member: Member,
    path: string,
    body: Message,
    signal: AbortSignal,
    progress: { hasBegun: boolean },
  ): AsyncIterable<Message> {
    const ending = new AbortController();
    const either = AbortSignal.any([signal, closed.signal, ending.signal]);
    let timer: Timer | null = null;
    const look = async (): Promise<void> => {
      const there = await isThere(member);
      if (ending.signal.aborted) return;
      if (there) lookLater();
      else ending.abort(new Error('is gone, or does not hear its cluster any more'));
    };
    const lookLater = (): void => {
      timer = clock.after(timeoutMs, () => void look());
    };
    try {
      const authorization = await tokenBy(member);
      if (either.aborted) return;
      const request = { path, body: JSON.stringify(body), headers: headers(authorization, null) };
      lookLater();
      for await (const message of lines(clock, member.streams, request, either, timeoutMs)) {
        progress.hasBegun = true;
        yield message;
      }
      ending.signal.throwIfAborted();
    } finally {
      ending.abort();
      (timer as Timer | null)?.cancel();
    }
  }

  /** Whether a member that has sent nothing is there, and hears a leader. */
  async function isThere(member: Member): Promise<boolean> {
    try {
      const { status, text } = await attempt(
        ...[member, '/v3/kv/range', { key: btoa('/'), keys_only: true, limit: '1' } as Message, timeoutMs],
        await tokenBy(member),
      );
      // Whatever else it says, it says it.
      return status === 200 || !isNoLeader(failureOf(text));
    } catch (error) {
      if (error instanceof Unanswered || isCardumeError(error)) return false;
      throw error;
    }
  }

  return {
    call,
    stream,
    signOut() {
      token = null;
    },
    async close() {
      closed.abort(leaving());
      await Promise.all(members.flatMap((member) => [member.calls.destroy(), member.streams.destroy()]));
    },
  };
}

function doubtful({ message }: { readonly message: string }): CardumeError {
  return new CardumeError('unknown-outcome', `etcd was asked, and what came of it is not known: ${message}`);
}

/** @throws Unanswered what is not JSON is no answer of etcd's */
function parsed({ endpoint }: Member, text: string): Message {
  try {
    return JSON.parse(text) as Message;
  } catch {
    throw new Unanswered(`answers what etcd does not say; is ${endpoint} one of its members?`, true);
  }
}

function causeOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return `cannot be reached (${code ?? error.message})`;
}
