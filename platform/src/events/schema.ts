/**
 * What a log's schema is in every engine. Version 1 is the log. From 2 on a program knows that partitions may have been
 * given away (copies.ts), so that it takes a map of shards to know what is at home in a log; from 3 on, that entries may
 * stand in segments alone (archive/).
 */
import { CardumeError } from '../base/errors.ts';
import type { First } from './engine.ts';

/** The version that a log needs once a partition has been given away. */
export const NEEDS_MAP = 2;
/** The version that a log needs once it has segments. */
export const NEEDS_ARCHIVES = 3;
/** Name of the number that says that a partition has been given away. */
export const GIVEN_AWAY = 'given_away';
/** The version before had no such number: with it, 2 alone says so. Hence no step may need 2: it would say so as well. */
export const SAYS_GIVEN_AWAY = `(name = '${GIVEN_AWAY}' AND value = 1) OR (name = 'schema' AND value = ${NEEDS_MAP})`;

/** What was given away under a map that is lost must not be opened by another. */
export function checkMap(name: string, hasGivenAway: boolean, { isMapNew }: Pick<First, 'isMapNew'>): void {
  if (!isMapNew || !hasGivenAway) return;
  throw new CardumeError(
    'storage-failed',
    `${name} has given partitions away, and the region's map of shards (map.db) is missing: bring it back from a backup`,
  );
}
