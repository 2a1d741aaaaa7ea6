/** Waits until a shard has what a consistency token names: durable and in its read models. */
import { CardumeError } from '../base/errors.ts';
import { notOpenError } from '../events/group-commit.ts';
import type { Log } from '../events/log.ts';
import { decodeToken } from '../events/token.ts';
import type { Clock } from '../host/host.ts';

const REACHED_MS_MAX = 2_000;

/**
 * At the partition's home.
 * @throws CardumeError `deadline-exceeded` when it does not come in time, `invalid-cursor` when the entry is of another
 *   history, `partition-unavailable` when its partition is not open here, or may be another's by now
 */
export async function reached(clock: Clock, log: Log, text: string): Promise<void> {
  const token = decodeToken(text);
  const position = (): number => log.head(token.partition)?.position ?? -1;
  const head = log.head(token.partition);
  if (head === undefined) throw notOpenError(token.partition);
  if (head.position < token.position) {
    // What comes from now on is written in this epoch, or a later one: the entry was lost with the home before.
    if (token.epoch < head.epoch) {
      await log.checkOpen(token.partition);
      throw otherHistory();
    }
    await arrival();
  }
  const [entry] = await log.readPartition(token.partition, token.position - 1, 1);
  if (token.position > 0 && entry?.epoch !== token.epoch) throw otherHistory();

  function arrival(): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = log.onCommit(() => {
        if (position() < token.position) return;
        stop();
        late.cancel();
        resolve();
      });
      const late = clock.after(REACHED_MS_MAX, () => {
        stop();
        reject(
          new CardumeError(
            'deadline-exceeded',
            `the state of the token did not arrive in ${REACHED_MS_MAX} ms`,
          ),
        );
      });
    });
  }
}

function otherHistory(): CardumeError {
  return new CardumeError('invalid-cursor', 'the token names an entry that this history does not have');
}
