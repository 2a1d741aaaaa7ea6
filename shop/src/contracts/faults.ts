import { CardumeError } from 'cardume/base';

/** What a schema cannot check. @param path JSON pointer, such as `/body/lines/0/product` */
export function invalid(path: string, message: string): CardumeError {
  return new CardumeError('invalid-input', `${path}: ${message}`, { faults: [{ path, message }] });
}
