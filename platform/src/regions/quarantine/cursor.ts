/** Where a reading of a region's quarantine goes on, as opaque text. Shards are read in order of service and name. */
import { CardumeError } from '../../base/errors.ts';
import { decodeToken } from '../../events/token.ts';

export interface Cursor {
  readonly service: string;
  readonly name: string;
  /** Of an entry, or before a partition; null: the beginning. */
  readonly token: string | null;
  /** First entry of the tail that the token is of, where it matters. */
  readonly parted?: string;
  /** First entry of the last stream behind the token that was looked at. */
  readonly stream?: string;
}

export const encodeCursor = (cursor: Cursor): string =>
  Buffer.from(JSON.stringify(cursor)).toString('base64url');

/** @throws CardumeError `invalid-cursor` */
export function decodeCursor(text: string): Cursor {
  try {
    const cursor = JSON.parse(Buffer.from(text, 'base64url').toString()) as Cursor;
    for (const token of [cursor.token, cursor.parted, cursor.stream])
      if (token !== undefined && token !== null) decodeToken(token);
    if (typeof cursor.service === 'string' && typeof cursor.name === 'string') return cursor;
  } catch (cause) {
    throw new CardumeError('invalid-cursor', WRONG, { cause });
  }
  throw new CardumeError('invalid-cursor', WRONG);
}

const WRONG = 'it is not a cursor of a quarantine';
