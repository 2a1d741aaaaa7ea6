/** What operators ask of a region over HTTP: its shards, and how partitions move between them. */
import { Type } from 'typebox';
import { CardumeError } from '../base/errors.ts';
import { type Operation, type OperationContext, operation } from '../gateway/operation.ts';
import { SHARDS_MAX } from '../sharding/shard-map.ts';
import type { ReshardingRequest, ReshardingStatus } from './resharding.ts';

/** Name of the port. */
export const RESHARDER = 'resharder';

export interface Resharder {
  readonly regions: readonly string[];
  ask(region: string, request: ReshardingRequest): Promise<ReshardingStatus>;
}

const region = Type.String({ minLength: 1, maxLength: 63, description: 'A region of the topology.' });
const name = Type.String({ minLength: 1, maxLength: 100 });
const engine = Type.String({ minLength: 1, maxLength: 32, description: 'An engine of the topology.' });
const partition = Type.Integer({ minimum: 0, maximum: 32_767, description: 'scope × 1024 + partition' });
const count = Type.Integer({ minimum: 0 });

const shard = Type.Object({
  service: name,
  name,
  engine,
  partitions: count,
  entries: Type.Integer({ minimum: 0, description: 'Entries of the logs of its partitions.' }),
  busiest: Type.Array(Type.Object({ partition, entries_a_minute: count }), {
    description: 'Its busiest partitions in the last minute.',
  }),
  building: Type.Array(Type.Object({ projection: name, entries_folded: count, entries_left: count }), {
    description: 'Its read models that are not up to the log yet.',
  }),
  replicas: Type.Array(
    Type.Object({
      name,
      entries_behind: Type.Union([Type.Null(), count], { description: 'Null: it has not been looked at.' }),
      building: Type.Boolean({ description: 'It has read models that are not up to the log yet.' }),
      reads: Type.Integer({ minimum: 0, description: 'That it has answered since the start.' }),
      trouble: Type.Union([Type.Null(), Type.String()], { description: 'Why it is left out.' }),
    }),
    { description: 'For reads that may be old.' },
  ),
});
const move = Type.Object({
  partition,
  from: name,
  to: name,
  state: Type.Union([Type.Literal('waiting'), Type.Literal('copying'), Type.Literal('moved')]),
  held_ms: Type.Union([Type.Null(), count], { description: 'How long callers of the partition waited.' }),
  entries_left: Type.Union([Type.Null(), count], { description: 'That the copy has to go, while it grows.' }),
  verified: Type.Union([Type.Null(), Type.Object({ entries: count, rows: count })], {
    description: 'What was found equal in home and copy.',
  }),
});
const reshard = Type.Object({
  service: name,
  begun_ms: Type.Integer({ description: 'Milliseconds since 1970.' }),
  phase: Type.Union(['moving', 'following', 'returning', 'dropping'].map((one) => Type.Literal(one))),
  trouble: Type.Union([Type.Null(), Type.String()], { description: 'Why it stands still.' }),
  moves: Type.Array(move),
});
const status = Type.Object({
  region,
  version: Type.Integer({ minimum: 0, description: 'Of the map of shards; grows with each change.' }),
  shards: Type.Array(shard),
  reshard: Type.Union([Type.Null(), reshard]),
});

const params = Type.Object({ region }, { additionalProperties: false });

async function answer(
  { port }: OperationContext,
  of: string,
  request: ReshardingRequest,
): Promise<{ status: number; body: unknown }> {
  const resharder = port<Resharder>(RESHARDER);
  if (!resharder.regions.includes(of)) {
    throw new CardumeError(
      'not-found',
      `there is no region '${of.slice(0, 63)}'; there are ${resharder.regions.join(', ')}`,
    );
  }
  const { version, shards, reshard: now } = await resharder.ask(of, request);
  const body = {
    region: of,
    version,
    // An instance of the version before says nothing of these.
    shards: shards.map(({ busiest, building = [], replicas = [], ...one }) => ({
      ...one,
      building: building.map(({ projection, entriesFolded, entriesLeft }) => ({
        ...{ projection, entries_folded: entriesFolded, entries_left: entriesLeft },
      })),
      replicas: replicas.map(({ entriesBehind, ...rest }) => ({ ...rest, entries_behind: entriesBehind })),
      busiest: busiest.map(({ entriesAMinute, ...rest }) => ({ ...rest, entries_a_minute: entriesAMinute })),
    })),
    reshard:
      now === null
        ? null
        : {
            service: now.service,
            begun_ms: now.begunMs,
            phase: now.phase,
            trouble: now.trouble,
            moves: now.moves.map(({ heldMs, entriesLeft, ...rest }) => {
              return { ...rest, held_ms: heldMs, entries_left: entriesLeft ?? null };
            }),
          },
  };
  return { status: request.ask === 'status' ? 200 : 202, body };
}

const shards = operation({
  id: 'operators.shards',
  method: 'GET',
  path: '/operators/regions/{region}/shards',
  summary: "A region's shards, and the reshard that is under way",
  access: 'staff',
  params,
  replies: { 200: status },
  failures: ['not-found'],
  handle: (input, context) => answer(context, input.params.region, { ask: 'status' }),
});

const begin = operation({
  id: 'operators.reshard',
  method: 'POST',
  path: '/operators/regions/{region}/reshard',
  summary: "Spread a service's partitions over another number of shards, or move some",
  description:
    'Partitions move one after another while they are used. When all have moved, what they left behind follows them ' +
    'until the reshard is finished or rolled back.',
  access: 'staff',
  params,
  body: Type.Object(
    {
      service: name,
      to: Type.Optional(Type.Integer({ minimum: 1, maximum: SHARDS_MAX, description: 'Number of shards.' })),
      engine: Type.Optional(engine),
      moves: Type.Optional(
        Type.Array(Type.Object({ partition, to: name }, { additionalProperties: false }), {
          minItems: 1,
          maxItems: 2_048,
          description: 'In place of `to`: single partitions.',
        }),
      ),
    },
    { additionalProperties: false },
  ),
  replies: { 202: status },
  failures: ['not-found', 'conflict', 'invalid-input'],
  handle: (input, context) => answer(context, input.params.region, { ask: 'begin', wish: input.body }),
});

function phase(id: string, path: string, ask: 'rollback' | 'finish', summary: string): Operation {
  return operation({
    id,
    method: 'POST',
    path: `/operators/regions/{region}/reshard/${path}`,
    summary,
    access: 'staff',
    params,
    replies: { 202: status },
    failures: ['not-found', 'conflict'],
    handle: (input, context) => answer(context, input.params.region, { ask }),
  });
}

export const operatorOperations: readonly Operation[] = [
  shards,
  begin,
  phase(
    'operators.roll-back',
    'rollback',
    'rollback',
    'Bring every partition of the reshard back to where it was',
  ),
  phase('operators.finish', 'finish', 'finish', 'Delete what moved partitions have left behind'),
];
