/** Whose keys an entry needs: replicas have them before the entries that use them. */
import type { Entry } from '../events/log.ts';
import type { Cryptography } from '../host/cryptography.ts';
import { codecOf } from './codec.ts';
import { type Kind, subjectOf } from './live.ts';
import type { Service } from './service.ts';

/** @returns the subject of an entry whose event has personal fields; null for any other */
export function personalSubjects(
  crypto: Cryptography,
  { aggregates }: Pick<Service, 'aggregates'>,
): (entry: Pick<Entry, 'stream' | 'type' | 'version'>) => string | null {
  const kinds = new Map<string, Kind>(
    aggregates.map((aggregate) => [aggregate.idType, { aggregate, codec: codecOf(crypto, aggregate) }]),
  );
  return ({ stream, type, version }) => {
    const kind = version === null ? undefined : kinds.get(stream.slice(0, 3));
    return kind?.codec.isPersonal(type) === true ? subjectOf(kind, stream) : null;
  };
}
