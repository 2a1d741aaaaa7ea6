/** A reader that may be closed while somebody reads: whoever does, or comes later, is told so, whatever the storage says. */
import { CardumeError } from '../base/errors.ts';
import type { OwnReader } from './engine.ts';

export function closedError(cause?: unknown): CardumeError {
  return new CardumeError('draining', 'the log is closed', { cause });
}

/** @throws CardumeError `draining` in all its reads */
export function closingReader(reader: OwnReader): OwnReader {
  let isClosed = false;

  function told(error: unknown): unknown {
    return isClosed ? closedError(error) : error;
  }

  /** A read may answer at once. */
  function reading<A extends unknown[], T>(read: (...asked: A) => T): (...asked: A) => T {
    return (...asked) => {
      if (isClosed) throw closedError();
      const answer = read(...asked);
      return answer instanceof Promise
        ? (answer.catch((error: unknown) => {
            throw told(error);
          }) as T)
        : answer;
    };
  }

  function later<A extends unknown[], T>(read: (...asked: A) => Promise<T>): (...asked: A) => Promise<T> {
    const guarded = reading(read);
    return async (...asked) => guarded(...asked);
  }

  return {
    readPartition: later(reader.readPartition),
    readStream: later(reader.readStream),
    findAnswer: later(reader.findAnswer),
    epochAt: later(reader.epochAt),
    epochs: reading(reader.epochs),
    close() {
      isClosed = true;
      return reader.close();
    },
  };
}
