/** Waits, within a bound, until a process has decided what becomes of its aggregate. */
import { CardumeError } from '../base/errors.ts';
import type { Clock } from '../host/host.ts';
import type { AggregateOf, Bus, Loaded } from './bus.ts';

const PENDING_MS_MAX = 8_000;

/**
 * The aggregate when it is not pending any more. Waits for its process, 8 s at most.
 * @throws CardumeError `deadline-exceeded`
 */
export async function decided<State>(
  { bus, signal, clock }: { readonly bus: Bus; readonly signal: AbortSignal; readonly clock: Clock },
  of: AggregateOf<State>,
  id: string,
  isPending: (state: State) => boolean,
): Promise<Loaded<State>> {
  let found = await bus.load(of, id);
  if (!isPending(found.state)) return found;
  const wait = new AbortController();
  const timer = clock.after(PENDING_MS_MAX, () => wait.abort());
  try {
    const until = AbortSignal.any([signal, wait.signal]);
    for await (const _event of bus.follow(of, id, found.version, until)) {
      found = await bus.load(of, id);
      if (!isPending(found.state)) return found;
    }
  } finally {
    timer.cancel();
  }
  found = await bus.load(of, id);
  if (!isPending(found.state)) return found;
  throw new CardumeError(
    'deadline-exceeded',
    'it is not decided yet: send again with the same Idempotency-Key',
  );
}
