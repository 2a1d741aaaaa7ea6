/** Expected failures as they cross a link: the code keeps its meaning, faults and all. */
import { CardumeError, type ErrorCode, errors, type Fault } from '../base/errors.ts';

interface Failure {
  readonly code: string;
  readonly detail: string;
  readonly faults?: readonly Fault[];
  readonly retryAfterS?: number;
}

export function encodeFailure(error: CardumeError): string {
  const failure: Failure = {
    code: error.code,
    detail: error.message,
    ...(error.faults.length === 0 ? {} : { faults: error.faults }),
    ...(error.retryAfterS === undefined ? {} : { retryAfterS: error.retryAfterS }),
  };
  return JSON.stringify(failure);
}

export function decodeFailure(text: string): CardumeError {
  const { code, detail, faults, retryAfterS } = JSON.parse(text) as Failure;
  // A later version may know codes that this one does not.
  const known: ErrorCode = Object.hasOwn(errors, code) ? (code as ErrorCode) : 'internal';
  return new CardumeError(known, detail, { faults, retryAfterS });
}

/** What ends work whose answer is of no use any more. */
export function nobodyWaits(): CardumeError {
  return new CardumeError('deadline-exceeded', 'nobody waits for the answer any more');
}
