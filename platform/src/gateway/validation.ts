/**
 * What a request brings is checked once, here, against the operation's schemas; behind this line types are trusted.
 * All faults are reported at once, each with a JSON pointer and with what is expected at that place.
 *
 * Objects that do not say otherwise are closed: an unknown field is a fault, since it is most often a misspelt one.
 * Path and query bring text only: numbers, booleans and lists are read from it where the schema asks for them.
 */
import { type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Settings } from 'typebox/system';
import type { Fault } from '../base/errors.ts';

/** Faults of one request that are reported. The setting is TypeBox's own, for the whole process. */
const FAULTS_MAX = 64;
Settings.Set({ maxErrors: FAULTS_MAX });

export interface Validator {
  /** With closed objects: what is checked and what the OpenAPI document shows. */
  readonly schema: TSchema;
  check(value: unknown): boolean;
  /** @param prefix JSON pointer of the value, such as `/body` */
  faults(value: unknown, prefix: string): Fault[];
}

export const NOTHING: TSchema = Type.Object({});

export function validatorOf(schema: TSchema): Validator {
  const closed = closedSchema(schema) as TSchema;
  const compiled = Compile(closed);
  return {
    schema: closed,
    check: (value) => compiled.Check(value),
    faults: (value, prefix) => describe(compiled.Errors(value), closed, value, prefix),
  };
}

/** Places that hold values, not schemas. */
const VALUE_KEYS: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples', 'required']);

/** A copy in which every object that lists its properties, and says nothing of others, refuses others. */
function closedSchema(schema: unknown, open = false): unknown {
  if (Array.isArray(schema)) return schema.map((item) => closedSchema(item, open));
  if (typeof schema !== 'object' || schema === null) return schema;
  // Hidden keys (TypeBox marks kinds and refinements with them) are kept.
  const copy = Object.defineProperties({}, Object.getOwnPropertyDescriptors(schema)) as Record<
    string,
    unknown
  >;
  for (const [key, value] of Object.entries(schema)) {
    // The parts of an intersection do not know each other's fields.
    if (!VALUE_KEYS.has(key)) copy[key] = closedSchema(value, key === 'allOf');
  }
  const lists = copy['type'] === 'object' && copy['properties'] !== undefined;
  if (
    lists &&
    !open &&
    copy['additionalProperties'] === undefined &&
    copy['unevaluatedProperties'] === undefined
  ) {
    copy['additionalProperties'] = false;
  }
  return copy;
}

type Parsed = Record<string, unknown>;

/** Reads the text of a path or a query as the schema's types; fills in defaults. What does not fit stays text. */
export function textReader(schema: TSchema): (text: Parsed) => Parsed {
  const properties = Object.entries((schema as { properties?: Record<string, Shape> }).properties ?? {});
  const converted = properties.filter(([, shape]) => CONVERTED.has(shape.type ?? ''));
  const defaults = properties.filter(([, shape]) => shape.default !== undefined);
  if (converted.length === 0 && defaults.length === 0) return (text) => text;
  return (text) => {
    const out: Parsed = { ...text };
    for (const [name, shape] of converted) {
      if (out[name] !== undefined) out[name] = convert(out[name], shape);
    }
    for (const [name, shape] of defaults) out[name] ??= shape.default;
    return out;
  };
}

interface Shape {
  readonly type?: string;
  readonly items?: Shape;
  readonly default?: unknown;
}

const CONVERTED: ReadonlySet<string> = new Set(['integer', 'number', 'boolean', 'array']);
const NUMBER = /^-?(?:0|[1-9]\d{0,15})(?:\.\d{1,15})?$/;

function convert(value: unknown, shape: Shape): unknown {
  if (shape.type === 'array') {
    const items = Array.isArray(value) ? value : [value];
    return shape.items === undefined ? items : items.map((item) => convert(item, shape.items as Shape));
  }
  if (typeof value !== 'string') return value; // given twice: the fault shows the list
  if (shape.type === 'boolean') return value === 'true' ? true : value === 'false' ? false : value;
  if (shape.type === 'integer' || shape.type === 'number') return NUMBER.test(value) ? Number(value) : value;
  return value;
}

/** Where TypeBox reports a field that a closed object does not list. */
const UNKNOWN_FIELD = /\/additionalProperties$/;
const PATH_CHARS_MAX = 200;

interface Found {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly params: object;
}

function describe(errors: readonly Found[], schema: TSchema, value: unknown, prefix: string): Fault[] {
  const unions = errors
    .filter((error) => error.keyword === 'anyOf')
    .map((error) => `${error.schemaPath}/anyOf/`);
  const byPath = new Map<string, Fault>();
  const add = (path: string, message: string): void => {
    const full = `${prefix}${path}`.slice(0, PATH_CHARS_MAX);
    if (!byPath.has(full) && byPath.size < FAULTS_MAX) byPath.set(full, { path: full, message });
  };
  for (const error of errors) {
    // What is wrong with each branch of a union confuses: the union itself is reported.
    if (unions.some((union) => error.schemaPath.startsWith(union))) continue;
    if (error.keyword === 'additionalProperties') continue; // each such field has an error of its own
    const at = schemaAt(schema, error.schemaPath.replace(UNKNOWN_FIELD, ''));
    if (UNKNOWN_FIELD.test(error.schemaPath)) {
      const known = Object.keys((at['properties'] as object | undefined) ?? {});
      const message =
        known.length === 0 ? 'unknown: nothing is expected here' : `unknown: expected ${oneOf(known)}`;
      add(error.instancePath, message);
    } else if (error.keyword === 'required') {
      const { requiredProperties } = error.params as { requiredProperties: string[] };
      const properties = at['properties'] as Record<string, JsonSchema>;
      for (const name of requiredProperties) {
        const expected = expectation(properties[name] ?? {});
        add(`${error.instancePath}/${escapePointer(name)}`, `missing: expected ${expected}`);
      }
    } else {
      const got = shown(error.instancePath, valueAt(value, error.instancePath));
      add(error.instancePath, `expected ${expectation(at)}${got}`);
    }
  }
  return [...byPath.values()];
}

type JsonSchema = Readonly<Record<string, unknown>>;

/** @param path such as `#/properties/lines/items` */
function schemaAt(schema: TSchema, path: string): JsonSchema {
  let at: unknown = schema;
  for (const step of path.split('/').slice(1)) at = (at as JsonSchema | undefined)?.[unescapePointer(step)];
  return (at ?? {}) as JsonSchema;
}

function valueAt(value: unknown, pointer: string): unknown {
  let at = value;
  for (const step of pointer.split('/').slice(1))
    at = (at as JsonSchema | undefined)?.[unescapePointer(step)];
  return at;
}

function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function unescapePointer(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}

const SHOWN_CHARS_MAX = 60;
const SECRET_PATH = /passw|token|secret/i;

/** `, got …`, shortly; nothing for a secret or where nothing was given. */
function shown(path: string, value: unknown): string {
  if (value === undefined || SECRET_PATH.test(path)) return '';
  const text = JSON.stringify(value);
  return `, got ${text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text}`;
}

const OPTIONS_SHOWN_MAX = 12;

function oneOf(values: readonly unknown[]): string {
  const texts = values.slice(0, OPTIONS_SHOWN_MAX).map((value) => JSON.stringify(value));
  const more = values.length > OPTIONS_SHOWN_MAX ? ', …' : '';
  return texts.length === 1 ? (texts[0] as string) : `one of ${texts.join(', ')}${more}`;
}

/** What a schema expects, in words: `a whole number from 1 to 99`. */
export function expectation(schema: JsonSchema): string {
  if ('const' in schema) return JSON.stringify(schema['const']);
  if (Array.isArray(schema['enum'])) return oneOf(schema['enum']);
  const branches = (schema['anyOf'] ?? schema['oneOf']) as JsonSchema[] | undefined;
  if (branches !== undefined) {
    if (branches.every((branch) => 'const' in branch))
      return oneOf(branches.map((branch) => branch['const']));
    return [...new Set(branches.map(expectation))].join(' or ');
  }
  switch (schema['type']) {
    case 'string': {
      const length = range(schema['minLength'], schema['maxLength'], 'of', 'characters');
      if (typeof schema['pattern'] === 'string') return `text${length} that matches ${schema['pattern']}`;
      if (typeof schema['format'] === 'string') return `text${length} in the format '${schema['format']}'`;
      return `text${length}`;
    }
    case 'integer':
    case 'number': {
      const noun = schema['type'] === 'integer' ? 'a whole number' : 'a number';
      const above = schema['exclusiveMinimum'] === undefined ? '' : ` above ${schema['exclusiveMinimum']}`;
      const below = schema['exclusiveMaximum'] === undefined ? '' : ` below ${schema['exclusiveMaximum']}`;
      const step = schema['multipleOf'] === undefined ? '' : `, a multiple of ${schema['multipleOf']}`;
      return `${noun}${range(schema['minimum'], schema['maximum'], 'from', '')}${above}${below}${step}`;
    }
    case 'boolean':
      return 'true or false';
    case 'null':
      return 'null';
    case 'array':
      return `a list${range(schema['minItems'], schema['maxItems'], 'of', 'items')}`;
    case 'object':
      return 'an object';
    default:
      return 'another value';
  }
}

function range(min: unknown, max: unknown, word: string, unit: string): string {
  const tail = unit === '' ? '' : ` ${unit}`;
  if (min !== undefined && max !== undefined) {
    return min === max
      ? ` ${word === 'of' ? 'of' : 'equal to'} ${min}${tail}`
      : ` ${word} ${min} to ${max}${tail}`;
  }
  if (min !== undefined) return ` ${word === 'of' ? 'of ' : ''}at least ${min}${tail}`.replace('  ', ' ');
  if (max !== undefined) return ` ${word === 'of' ? 'of ' : ''}at most ${max}${tail}`.replace('  ', ' ');
  return '';
}
