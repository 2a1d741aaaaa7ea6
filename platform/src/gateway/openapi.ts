/**
 * The OpenAPI 3.1 document of the operations. Their schemas are JSON Schema already, so nothing is described twice:
 * what the gateway checks is what stands here. Every failure is a problem document (RFC 9457).
 */
import { type ErrorCode, errors } from '../base/errors.ts';
import { PROBLEM_TYPE } from '../base/problem.ts';
import type { Operation } from './operation.ts';
import { propertiesOf, type Route } from './route.ts';

export interface ApiDocument {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly servers: readonly { readonly url: string }[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, ApiOperation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface ApiOperation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly parameters: readonly ApiParameter[];
  readonly requestBody?: { readonly required: true; readonly content: Content };
  readonly responses: Readonly<Record<string, ApiResponse>>;
}

export interface ApiParameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description?: string;
  readonly schema: JsonSchema;
}

export interface ApiResponse {
  readonly description: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Content;
}

type Content = Readonly<Record<string, { readonly schema: JsonSchema }>>;
export type JsonSchema = Readonly<Record<string, unknown>>;

const DESCRIPTION = `Failures are problem documents (RFC 9457, \`${PROBLEM_TYPE}\`): \`code\` names the failure for good,
\`errors\` every faulty place by its JSON pointer. \`X-Request-Id\` and \`traceparent\` are taken over and echoed.
\`RateLimit\` says how many requests are left. A write with an \`Idempotency-Key\` can be sent again without a second
effect.`;

export function openApiDocument(
  info: { readonly title: string; readonly version: string },
  routes: readonly Route[],
): ApiDocument {
  const paths: Record<string, Record<string, ApiOperation>> = {};
  for (const route of routes) {
    const { path, method } = route.operation;
    const at = paths[path] ?? {};
    at[method.toLowerCase()] = describeOperation(route);
    paths[path] = at;
  }
  const services = [...new Set(routes.map((route) => route.service))];
  return {
    openapi: '3.1.1',
    info: { title: info.title, version: info.version, description: DESCRIPTION.replaceAll('\n', ' ') },
    servers: [{ url: '/' }],
    tags: services.map((name) => ({ name, description: `Operations of the service ${name}` })),
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: { Problem: PROBLEM_SCHEMA },
      headers: HEADERS,
    },
  };
}

function describeOperation(route: Route): ApiOperation {
  const { operation } = route;
  const parameters = parametersOf(route);
  return {
    operationId: operation.id,
    tags: [route.service],
    summary: operation.summary,
    ...(operation.description === undefined ? {} : { description: operation.description }),
    security: operation.access === 'anyone' ? [{}, { bearer: [] }] : [{ bearer: [] }],
    parameters,
    ...(route.body === null
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: plain(route.body.schema) } },
          },
        }),
    responses: responsesOf(operation, parameters),
  };
}

function parametersOf(route: Route): ApiParameter[] {
  const { operation } = route;
  const parameters: ApiParameter[] = [];
  const add = (where: 'path' | 'query', schema: JsonSchema): void => {
    const required = (schema['required'] ?? []) as string[];
    for (const [name, property] of Object.entries(propertiesOf(schema as never))) {
      const { description, ...rest } = plain(property);
      const isRequired = where === 'path' || (required.includes(name) && rest['default'] === undefined);
      const told = typeof description === 'string' ? { description } : {};
      parameters.push({ name, in: where, required: isRequired, ...told, schema: rest });
    }
  };
  add('path', route.params.schema as JsonSchema);
  add('query', route.search.schema as JsonSchema);
  const header = (name: string, description: string, schema: JsonSchema): void => {
    parameters.push({ name, in: 'header', required: false, description, schema });
  };
  if (operation.idempotent === true) {
    header(
      'Idempotency-Key',
      'The same key has one effect and one answer; use a fresh one for each new request.',
      {
        type: 'string',
        minLength: 1,
        maxLength: 128,
        pattern: '^[\\x21-\\x7e]+$',
      },
    );
  }
  if (changesOne(operation)) {
    header('If-Match', 'Only if it still has this version: the ETag of an earlier answer.', {
      type: 'string',
      pattern: '^(\\*|"[0-9]+")$',
    });
  }
  if (operation.streams === true) {
    header('Last-Event-ID', 'Of the last event that was seen: what follows it is sent.', { type: 'string' });
  } else if (operation.method === 'GET') {
    header('If-None-Match', 'ETag of what the caller has: 304 when it is still the same.', {
      type: 'string',
    });
  }
  if (operation.method === 'GET') {
    header('Cardume-Token', 'Of an earlier reply: this answer sees at least what that one rests on.', {
      type: 'string',
    });
    header(
      'Cardume-Max-Staleness-Ms',
      'How old the answer may be: then replicas may give it. Left out, it is the newest.',
      { type: 'integer', minimum: 0, maximum: 999_999_999 },
    );
  }
  return parameters;
}

/** It changes something that the path names. */
function changesOne(operation: Operation): boolean {
  return operation.method !== 'GET' && operation.params !== undefined;
}

/** Codes that an operation of this shape can answer with, beside those of its own. */
function codesOf(operation: Operation, parameters: readonly ApiParameter[]): ErrorCode[] {
  const codes: ErrorCode[] = ['invalid-token', 'expired-token', 'too-many-requests', 'internal'];
  codes.push('overloaded', 'partition-unavailable', 'deadline-exceeded', 'draining');
  if (operation.access !== 'anyone') codes.push('token-required');
  if (operation.access === 'staff') codes.push('forbidden');
  if (parameters.length > 0) codes.push('invalid-input');
  if (operation.params !== undefined) codes.push('not-found');
  if (operation.body !== undefined) {
    codes.push('bad-json', 'invalid-input', 'request-timeout', 'body-too-large', 'unsupported-media-type');
  }
  if (operation.method !== 'GET')
    codes.push('conflict', 'replicas-behind', 'storage-failed', 'unknown-outcome');
  if (changesOne(operation)) codes.push('precondition-failed');
  if (operation.idempotent === true) codes.push('idempotency-key-reused');
  if (operation.failures !== undefined) codes.push(...operation.failures);
  return codes;
}

function responsesOf(operation: Operation, parameters: readonly ApiParameter[]): Record<string, ApiResponse> {
  const responses: Record<string, ApiResponse> = {};
  const mediaType = operation.streams === true ? 'text/event-stream' : 'application/json';
  for (const [status, schema] of Object.entries(operation.replies)) {
    responses[status] = {
      description: DESCRIPTIONS[status] ?? 'The answer.',
      headers: ANSWER_HEADERS,
      ...(schema === null ? {} : { content: { [mediaType]: { schema: plain(schema) } } }),
    };
  }
  // Lists have no version.
  if (operation.method === 'GET' && operation.params !== undefined && operation.streams !== true) {
    responses['304'] = { description: 'It is what `If-None-Match` names.', headers: ANSWER_HEADERS };
  }
  const codesByStatus = new Map<number, Set<ErrorCode>>();
  for (const code of codesOf(operation, parameters)) {
    const { status } = errors[code];
    codesByStatus.set(status, (codesByStatus.get(status) ?? new Set()).add(code));
  }
  for (const [status, codes] of [...codesByStatus].sort(([a], [b]) => a - b)) {
    if (responses[status] !== undefined) continue;
    responses[status] = {
      description: [...codes].map((code) => `\`${code}\`: ${errors[code].title}.`).join(' '),
      content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
    };
  }
  return responses;
}

/** As JSON, without what TypeBox hides in it. */
function plain(schema: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(schema)) as Record<string, unknown>;
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  200: 'Done.',
  201: 'It was created.',
  202: 'It was accepted and goes on.',
  204: 'Done; there is nothing to say.',
};

const HEADERS = {
  ETag: { description: 'The version, for If-Match and If-None-Match.', schema: { type: 'string' } },
  'Cardume-Token': {
    description: 'Consistency token: reads that name it see this write.',
    schema: { type: 'string' },
  },
  'X-Request-Id': { description: 'Names this request in our logs.', schema: { type: 'string' } },
  RateLimit: {
    description: 'Requests that are left (draft-ietf-httpapi-ratelimit-headers).',
    schema: { type: 'string' },
  },
};

const ANSWER_HEADERS = Object.fromEntries(
  Object.keys(HEADERS).map((name) => [name, { $ref: `#/components/headers/${name}` }]),
);

const PROBLEM_SCHEMA = {
  type: 'object',
  description: 'RFC 9457',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code', 'help'],
  properties: {
    type: { type: 'string', format: 'uri-reference' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What was wrong with this request.' },
    instance: { type: 'string', format: 'uri', description: 'Names the request.' },
    code: { type: 'string', enum: Object.keys(errors), description: 'Never changes its meaning.' },
    help: { type: 'string', description: 'What to do next.' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['pointer', 'detail'],
        properties: {
          pointer: { type: 'string', format: 'json-pointer' },
          detail: { type: 'string', description: 'What is expected there.' },
        },
      },
    },
  },
};
