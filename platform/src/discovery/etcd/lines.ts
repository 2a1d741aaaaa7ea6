/** A response that goes on: one JSON message a line. Whoever reads slowly makes the member wait, not this process grow. */
import type { Dispatcher } from 'undici';
import type { Clock } from '../../host/host.ts';
import type { HttpPool } from '../../links/http-pool.ts';
import type { Message } from './message.ts';

export interface Request {
  readonly path: string;
  readonly body: string;
  readonly headers: Record<string, string>;
}

/** Of lines that nobody has read yet; then the member waits. */
const AHEAD_CHARS_MAX = 4 * 1024 * 1024;
/** Of one line; etcd sends up to 1,000 revisions at once to whoever is behind. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;
const NEWLINE = 10;

/**
 * Ends when the signal does.
 * @param timeoutMs until the first message
 * @throws Error with what the member did: `cannot be reached`, `has ended the stream`
 */
export async function* lines(
  clock: Clock,
  pool: HttpPool,
  { path, body, headers }: Request,
  signal: AbortSignal,
  timeoutMs: number,
): AsyncIterable<Message> {
  let controller: Dispatcher.DispatchController | null = null;
  let failure: Error | null = null;
  let ready: string[] = [];
  let aheadChars = 0;
  let part: Buffer[] = [];
  let partBytes = 0;
  let wake = (): void => {};
  const fail = (why: string): void => {
    failure ??= new Error(why);
    controller?.abort(failure);
    wake();
  };
  const leave = (): void => fail('was left');
  const first = clock.after(timeoutMs, () => fail(`did not answer within ${timeoutMs} ms`));

  function take(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const line = Buffer.concat([...part, chunk.subarray(from, end)]).toString();
      part = [];
      partBytes = 0;
      from = end + 1;
      if (line === '') continue;
      ready.push(line);
      aheadChars += line.length;
    }
    if (from < chunk.length) part.push(chunk.subarray(from));
    partBytes += chunk.length - from;
    if (partBytes > LINE_BYTES_MAX) fail(`has more to say at once than ${LINE_BYTES_MAX} bytes`);
    if (aheadChars > AHEAD_CHARS_MAX) controller?.pause();
    if (ready.length > 0) first.cancel();
    wake();
  }

  signal.addEventListener('abort', leave);
  try {
    pool.dispatch(
      { method: 'POST', path, body, headers },
      {
        onRequestStart(started) {
          controller = started;
          if (failure !== null) started.abort(failure);
        },
        onResponseStart() {},
        onResponseData: (_, chunk) => take(chunk),
        onResponseEnd() {
          if (part.length > 0) take(Buffer.from('\n')); // an error has no line of its own
          fail('has ended the stream');
        },
        onResponseError: (_, error) =>
          fail(`cannot be reached (${(error as NodeJS.ErrnoException).code ?? error.message})`),
      },
    );
    while (!signal.aborted) {
      const some = ready;
      ready = [];
      for (const line of some) {
        aheadChars -= line.length;
        yield parsed(line);
        if (signal.aborted) return;
      }
      if (ready.length > 0) continue;
      if (failure !== null) throw failure;
      const paused = controller as Dispatcher.DispatchController | null;
      if (paused?.paused) paused.resume();
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    first.cancel();
    signal.removeEventListener('abort', leave);
    fail('was left');
  }
}

/** @throws Error what is not JSON is nothing that etcd says */
function parsed(line: string): Message {
  try {
    return JSON.parse(line) as Message;
  } catch {
    throw new Error('says what etcd does not say');
  }
}
