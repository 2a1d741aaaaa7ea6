/** Events as operators may see them, who are not their readers: personal fields stay closed. */
import type { JsonObject } from '../base/json.ts';
import type { Entry } from '../events/log.ts';
import { personalFields } from '../privacy/personal.ts';
import type { Service } from './service.ts';

/** In place of a personal field. */
export const CLOSED = '(sealed)';

/** @returns an event as it stands in the log; null for an answer, and for what this version does not know */
export function shownBy({
  aggregates,
}: Pick<Service, 'aggregates'>): (
  entry: Pick<Entry, 'stream' | 'version' | 'type' | 'data'>,
) => JsonObject | null {
  const kinds = new Map(aggregates.map(({ idType, events }) => [idType, events]));
  return ({ stream, version, type, data }) => {
    const schema = version === null ? undefined : kinds.get(stream.slice(0, 3))?.[type];
    if (schema === undefined) return null;
    const shown: Record<string, JsonObject[string]> = { ...(JSON.parse(data) as JsonObject) };
    for (const name of personalFields(schema)) if (shown[name] != null) shown[name] = CLOSED;
    return shown;
  };
}
