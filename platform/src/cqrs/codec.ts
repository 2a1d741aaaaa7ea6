/** Events as they stand in the log: JSON without the type, with the version of what has changed, and personal fields sealed. */
import type { Json } from '../base/json.ts';
import type { Cryptography } from '../host/cryptography.ts';
import { personalFields } from '../privacy/personal.ts';
import { openValue, sealValue } from '../privacy/sealing.ts';
import type { Aggregate, Typed } from './aggregate.ts';
import { readEvent, upcastersOf, VERSION, versionMark } from './upcasting.ts';

type Fields = Record<string, Json>;

export interface Codec {
  /** Whether any event of the aggregate has personal fields: then a key is needed to encode and to decode. */
  readonly personal: boolean;
  /** Whether events of the type have personal fields. */
  isPersonal(type: string): boolean;
  encode(event: Typed, subject: string, key: Uint8Array | null): string;
  decode(type: string, data: string, subject: string, key: Uint8Array | null): Typed;
}

export function codecOf(crypto: Cryptography, aggregate: Aggregate): Codec {
  const upcasters = upcastersOf([aggregate]);
  const personalOf = new Map<string, readonly string[]>();
  for (const [type, schema] of Object.entries(aggregate.events)) {
    if (VERSION in ((schema as { properties?: object }).properties ?? {}))
      throw new Error(`'${type}' of '${aggregate.name}' has a field '${VERSION}', which says its version`);
    const fields = personalFields(schema);
    if (fields.length > 0) personalOf.set(type, fields);
  }
  const context = (subject: string, type: string, field: string): string => `${subject}/${type}/${field}`;
  return {
    personal: personalOf.size > 0,
    isPersonal: (type) => personalOf.has(type),
    encode(event, subject, key) {
      const { type } = event;
      // An undefined field is left out of the text; leaving it out of the copy costs several times as much.
      const fields = {
        ...event,
        type: undefined,
        ...versionMark(upcasters, aggregate.idType, type),
      } as unknown as Fields;
      for (const name of personalOf.get(type) ?? []) {
        const value = fields[name];
        if (value === undefined || value === null) continue;
        if (key === null) throw new Error(`'${type}.${name}' is personal and there is no key to seal it`);
        fields[name] = sealValue(crypto, key, value, context(subject, type, name));
      }
      return JSON.stringify(fields);
    },
    decode(type, data, subject, key) {
      const event = readEvent(upcasters, aggregate.idType, type, data) as Typed & Fields;
      for (const name of personalOf.get(type) ?? []) {
        const sealed = event[name];
        if (typeof sealed === 'string')
          event[name] = openValue(crypto, key, sealed, context(subject, type, name));
      }
      return event;
    },
  };
}
