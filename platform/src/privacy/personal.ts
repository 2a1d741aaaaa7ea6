/**
 * Personal fields are marked in an event's schema and are stored only under a key of their subject, from the first
 * event on: erasing a person is destroying the key (crypto-shredding).
 */
import type { TSchema } from 'typebox';

const MARK = 'x-personal';

/** Marks a field of an event as personal. The whole value is sealed, whatever its type. */
export function Personal<Schema extends TSchema>(schema: Schema): Schema {
  return { ...schema, [MARK]: true };
}

/**
 * Names of the personal fields of an event's schema. They stand at the top level of the event: a nested mark is a
 * mistake that would leave plain text in the log, and is refused.
 */
export function personalFields(schema: TSchema): readonly string[] {
  const properties = (schema as { properties?: Record<string, TSchema> }).properties ?? {};
  const fields: string[] = [];
  for (const [name, field] of Object.entries(properties)) {
    if (isMarked(field)) fields.push(name);
    else if (hasMarkInside(field))
      throw new Error(`personal field inside '${name}': mark '${name}' itself as personal`);
  }
  return fields;
}

function isMarked(schema: object): boolean {
  return (schema as Record<string, unknown>)[MARK] === true;
}

function hasMarkInside(node: unknown): boolean {
  if (typeof node !== 'object' || node === null) return false;
  return Object.values(node).some(
    (child) => typeof child === 'object' && child !== null && (isMarked(child) || hasMarkInside(child)),
  );
}
