/**
 * Events of older versions. A log is never rewritten: what stands in it in an older version is brought to the newest as
 * it is read, one version after another, before anything else sees it.
 */
import { CardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import type { Aggregate, Typed } from './aggregate.ts';

/** Fields of an event as they are stored, personal ones sealed. */
export type StoredFields = Record<string, Json>;

/** Type of ids and of event (`ord/OrderPlaced`) → for each version that there was, what makes the next one of it. */
export type Upcasters = ReadonlyMap<string, readonly ((event: StoredFields) => StoredFields)[]>;

/** Where a stored event says its version; the first one says nothing. No event may have such a field. */
export const VERSION = '$version';

export function upcastersOf(aggregates: readonly Pick<Aggregate, 'idType' | 'upcasters'>[]): Upcasters {
  return new Map(
    aggregates.flatMap(({ idType, upcasters = {} }) =>
      Object.entries(upcasters).map(([type, steps = []]) => [`${idType}/${type}`, steps]),
    ),
  );
}

/** What is stored beside an event's fields. */
export function versionMark(upcasters: Upcasters, idType: string, type: string): StoredFields | undefined {
  const steps = upcasters.get(`${idType}/${type}`);
  return steps === undefined || steps.length === 0 ? undefined : { [VERSION]: steps.length + 1 };
}

/**
 * The event in its newest version.
 * @param data JSON of its fields, as stored
 * @throws CardumeError `storage-failed` when a later version of the program has written it
 */
export function readEvent(upcasters: Upcasters, idType: string, type: string, data: string): Typed {
  let fields = JSON.parse(data) as StoredFields;
  const steps = upcasters.size === 0 ? undefined : upcasters.get(`${idType}/${type}`);
  const version = fields[VERSION] as number | undefined;
  if (steps !== undefined || version !== undefined) {
    delete fields[VERSION];
    const newest = (steps?.length ?? 0) + 1;
    if (version !== undefined && version > newest) {
      throw new CardumeError(
        'storage-failed',
        `'${type}' stands in the log in version ${version}, and this program knows it up to ${newest}: a later one wrote it`,
      );
    }
    for (let i = (version ?? 1) - 1; i < newest - 1; i += 1)
      fields = (steps as readonly ((event: StoredFields) => StoredFields)[])[i]?.(fields) as StoredFields;
  }
  fields['type'] = type;
  return fields as unknown as Typed;
}
