/** What operators ask over HTTP of entries that were cut off copies: what there is, and what is to become of it. */
import { Type } from 'typebox';
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Decision } from '../events/quarantine.ts';
import { type Operation, type OperationContext, operation } from '../gateway/operation.ts';
import type {
  QuarantineDecided,
  QuarantineItem,
  QuarantineList,
  QuarantineRequest,
} from '../regions/quarantine/request.ts';
import { portOf } from './regions-api.ts';

const LIMIT = 20;
const LIMIT_MAX = 100;
const IDS_MAX = 100;
const ID = '^[a-z0-9-]{1,63}/[A-Za-z0-9_-]{1,100}/[0-9a-z]{1,4}-[0-9a-z]{1,8}-[0-9a-z]{1,10}$';

const name = Type.String({ minLength: 1, maxLength: 63 });
const id = Type.String({ maxLength: 200, pattern: ID, description: 'region/service/token' });
const count = Type.Integer({ minimum: 0 });
const ms = Type.Integer({ description: 'Milliseconds since 1970.' });
const partition = Type.Integer({ minimum: 0, maximum: 32_767, description: 'scope × 1024 + partition' });
const cursor = Type.String({ minLength: 1, maxLength: 1_000 });
const next = Type.Union([Type.Null(), Type.String()], { description: 'For `after`; null: that was all.' });
const scope = {
  region: Type.Optional(name),
  service: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
  partition: Type.Optional(partition),
};

const entry = Type.Object({
  id,
  region: name,
  service: name,
  partition,
  epoch: count,
  position: count,
  stream: Type.String(),
  version: Type.Union([Type.Null(), count], { description: 'Null: an answer without an event.' }),
  type: Type.String(),
  at_ms: ms,
  idempotency_key: Type.Union([Type.Null(), Type.String()], {
    description: 'Principal, operation and a digest of the key; null: whoever asked had none.',
  }),
  data: Type.Union([Type.Null(), Type.Object({}, { additionalProperties: true })], {
    description: 'Personal fields say `(sealed)`. Null: there is none, or it is too long.',
  }),
  cut_ms: ms,
  decided: Type.Union([
    Type.Null(),
    Type.Object({
      as: Type.Union([Type.Literal('resubmitted'), Type.Literal('discarded')]),
      by: Type.String(),
      at_ms: ms,
    }),
  ]),
});

type QuarantineAnswer<R extends QuarantineRequest> = R extends { readonly do: 'list' }
  ? QuarantineList
  : QuarantineDecided;

async function ask<R extends QuarantineRequest>(
  context: OperationContext,
  region: string,
  quarantine: R,
): Promise<QuarantineAnswer<R>> {
  const answer = await portOf(context, region).ask(region, { ask: 'quarantine', quarantine });
  if (typeof answer === 'object' && answer !== null) return answer as unknown as QuarantineAnswer<R>;
  throw new CardumeError(
    'partition-unavailable',
    `${region} is of a version that has no quarantines to ask for`,
  );
}

const overview = operation({
  id: 'operators.quarantine',
  method: 'GET',
  path: '/operators/quarantine',
  summary: 'Entries that were cut off copies, since their partitions had gone on elsewhere without them',
  description: 'A page may be shorter than `limit`, or empty, and have a `next` all the same.',
  access: 'staff',
  search: Type.Object(
    {
      ...scope,
      state: Type.Optional(Type.Enum(['undecided', 'decided', 'all'])),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX })),
      after: Type.Optional(cursor),
    },
    { additionalProperties: false },
  ),
  replies: {
    200: Type.Object({
      items: Type.Array(entry),
      unreachable: Type.Array(name, { description: 'Regions that did not answer.' }),
      next,
    }),
  },
  failures: ['conflict', 'not-found', 'invalid-cursor'],
  async handle({ search }, context) {
    const { region, service = null, partition: only = null, state = 'undecided', limit = LIMIT } = search;
    const { regions: all } = portOf(context, region);
    const regions = region === undefined ? all : [region];
    const [from = regions[0], behind = ''] = search.after?.split(':') ?? [];
    const left = regions.slice(regions.indexOf(from as string));
    if (!regions.includes(from as string)) throw new CardumeError('invalid-cursor', 'it names no region');
    const items: ReturnType<typeof shown>[] = [];
    const unreachable: string[] = [];
    let after = behind === '' ? null : behind;
    for (const [i, one] of left.entries()) {
      const entriesMax = limit - items.length;
      const of = { service, partition: only };
      try {
        const page = await ask(context, one, { do: 'list', of, state, after, entriesMax });
        items.push(...page.items.map((item) => shown(one, item)));
        if (page.next !== null)
          return { status: 200, body: { items, unreachable, next: `${one}:${page.next}` } };
      } catch (error) {
        if (!isCardumeError(error) || error.code === 'conflict' || error.code === 'invalid-cursor')
          throw error;
        unreachable.push(one);
      }
      after = null;
      const following = left[i + 1];
      if (items.length === limit && following !== undefined)
        return { status: 200, body: { items, unreachable, next: `${following}:` } };
    }
    return { status: 200, body: { items, unreachable, next: null } };
  },
});

function shown(region: string, { id: own, atMs, key, cutMs, settled, ...item }: QuarantineItem) {
  return {
    ...item,
    id: `${region}/${own}`,
    region,
    at_ms: atMs,
    idempotency_key: key,
    cut_ms: cutMs,
    decided: settled === null ? null : { as: settled.decided, by: settled.by, at_ms: settled.atMs },
  };
}

function deciding(
  decided: Decision['decided'],
  path: string,
  summary: string,
  description: string,
): Operation {
  return operation({
    id: `operators.quarantine.${path}`,
    method: 'POST',
    path: `/operators/quarantine/${path}`,
    summary,
    description:
      `${description} State \`entries\`, or else \`region\` for all of it that is undecided: then a part is done at a time, and ` +
      '`next` says where the rest begins.',
    access: 'staff',
    body: Type.Object(
      {
        entries: Type.Optional(
          Type.Array(id, { minItems: 1, maxItems: IDS_MAX, description: 'Of one region.' }),
        ),
        ...scope,
        after: Type.Optional(cursor),
      },
      { additionalProperties: false },
    ),
    replies: {
      200: Type.Object({
        entries: Type.Integer({ minimum: 0, description: 'That were decided by this.' }),
        left: Type.Array(
          Type.Object({
            ids: Type.Array(id),
            stream: Type.String(),
            why: Type.String(),
            retryable: Type.Boolean({ description: 'It could not be found out now: ask again.' }),
          }),
          { description: 'What stays undecided, by stream.' },
        ),
        next,
      }),
    },
    failures: ['conflict', 'not-found', 'invalid-input', 'invalid-cursor'],
    async handle({ body }, context) {
      const { entries, region: of, service = null, partition: only = null, after = null } = body;
      if ((entries === undefined) === (of === undefined))
        throw invalid('/body/entries', 'expected `entries`, or else `region`');
      const region = of ?? ((entries?.[0] ?? '').split('/')[0] as string);
      if (entries?.some((one) => !one.startsWith(`${region}/`)) === true)
        throw invalid('/body/entries', 'expected entries of one region');
      const ids = entries?.map((one) => one.slice(region.length + 1));
      const what = ids === undefined ? { of: { service, partition: only }, after } : { ids };
      const decision = { decided, by: context.principal.id };
      const done = await ask(context, region, { do: 'decide', decision, what });
      const left = done.left.map(({ ids: own, stream, why, isOpen }) => {
        return { ids: own.map((one) => `${region}/${one}`), stream, why, retryable: isOpen };
      });
      return { status: 200, body: { entries: done.entries, left, next: done.next } };
    },
  });
}

function invalid(path: string, message: string): CardumeError {
  return new CardumeError('invalid-input', `${path}: ${message}`, { faults: [{ path, message }] });
}

export const quarantineOperations: readonly Operation[] = [
  overview,
  deciding(
    'resubmitted',
    'resubmit',
    'Append what was cut off where its partition is at home now',
    'What a stream has is appended together, if the stream stands where it stood when it was decided and no idempotency key ' +
      'of it has another answer; otherwise it stays, and `left` says why. Asked again, nothing is appended twice.',
  ),
  deciding(
    'discarded',
    'discard',
    'Give up what was cut off; it stays in the quarantine, with who gave it up',
    'The first decision about an entry stands.',
  ),
];
