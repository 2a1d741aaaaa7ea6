import type { Static, TSchema } from 'typebox';

/** The union of events that a map of schemas describes: `{ type, …fields }`. */
export type EventOf<Schemas extends Readonly<Record<string, TSchema>>> = {
  [T in keyof Schemas & string]: { readonly type: T } & Readonly<Static<Schemas[T]>>;
}[keyof Schemas & string];
