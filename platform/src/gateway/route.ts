/** An operation made ready to serve: its schemas compiled once, its contradictions found at the start. */
import type { TSchema } from 'typebox';
import type { Operation } from './operation.ts';
import { NOTHING, textReader, type Validator, validatorOf } from './validation.ts';

export interface Route {
  readonly service: string;
  readonly operation: Operation;
  /** As the path names them. */
  readonly paramNames: readonly string[];
  readonly params: Validator;
  readonly search: Validator;
  /** Null: the operation takes no body. */
  readonly body: Validator | null;
  readonly readParams: (text: Record<string, unknown>) => Record<string, unknown>;
  readonly readSearch: (text: Record<string, unknown>) => Record<string, unknown>;
}

export interface ServiceOperations {
  readonly name: string;
  readonly operations: readonly Operation[];
}

/** Leaves room for principal and key in the 200 bytes of an idempotency key. */
const OPERATION_ID = /^[A-Za-z][A-Za-z0-9.-]{0,31}$/;
const PATH = /^(?:\/(?:[a-z0-9][a-z0-9.-]*|\{[a-zA-Z][a-zA-Z0-9_]*\}))+$/;

/** @throws Error when operations contradict each other or themselves: a bug of their authors */
export function routesOf(services: readonly ServiceOperations[]): readonly Route[] {
  const routes = services.flatMap(({ name, operations }) =>
    operations.map((operation) => routeOf(name, operation)),
  );
  const seen = new Set<string>();
  for (const { operation } of routes) {
    const address = `${operation.method} ${operation.path.replaceAll(/\{\w+\}/g, '{}')}`;
    for (const unique of [operation.id, address]) {
      if (seen.has(unique)) throw new Error(`two operations are '${unique}'`);
      seen.add(unique);
    }
  }
  return routes;
}

function routeOf(service: string, operation: Operation): Route {
  const refuse = (why: string): never => {
    throw new Error(`operation '${operation.id}' of ${service}: ${why}`);
  };
  if (!OPERATION_ID.test(operation.id)) refuse(`its id does not match ${OPERATION_ID.source}`);
  if (!PATH.test(operation.path)) refuse(`'${operation.path}' is not a path such as /orders/{id}`);
  const named = pathNames(operation.path);
  const declared = Object.keys(propertiesOf(operation.params));
  if ([...named].sort().join() !== declared.sort().join())
    refuse(`params are [${declared}], the path has [${named}]`);
  if (operation.method === 'GET' && operation.body !== undefined) refuse('GET takes no body');
  const params = validatorOf(operation.params ?? NOTHING);
  const search = validatorOf(operation.search ?? NOTHING);
  return {
    service,
    operation,
    paramNames: named,
    params,
    search,
    body: operation.body === undefined ? null : validatorOf(operation.body),
    readParams: textReader(params.schema),
    readSearch: textReader(search.schema),
  };
}

/** `/orders/{id}` → `['id']` */
function pathNames(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string);
}

export function propertiesOf(schema: TSchema | undefined): Readonly<Record<string, TSchema>> {
  return (schema as { properties?: Record<string, TSchema> } | undefined)?.properties ?? {};
}
