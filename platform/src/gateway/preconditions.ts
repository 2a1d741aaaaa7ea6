/** Conditional requests (RFC 9110, section 13). An ETag here is the version of an aggregate: `"7"`. */
import { CardumeError } from '../base/errors.ts';

const STRONG_VERSION = /^"(\d{1,15})"$/;

export function etagOf(version: number): string {
  return `"${version}"`;
}

/**
 * @returns the version that it must still have; null for `*` (any, but existing: a missing one is 404 anyway)
 * @throws CardumeError `invalid-input`
 */
export function parseIfMatch(header: string): number | null {
  if (header === '*') return null;
  const match = STRONG_VERSION.exec(header.trim());
  if (match === null) {
    const message = `expected one ETag of ours such as "7", or *, got ${header.slice(0, 60)}`;
    throw new CardumeError('invalid-input', `If-Match: ${message}`, {
      faults: [{ path: '/headers/if-match', message }],
    });
  }
  return Number(match[1]);
}

/** Weak comparison (section 8.8.3.2): whether the caller holds this representation already. */
export function noneMatches(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch === etag || ifNoneMatch === '*') return true;
  const strong = etag.replace(/^W\//, '');
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === strong);
}
