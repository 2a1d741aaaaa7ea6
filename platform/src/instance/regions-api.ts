/** What operators ask of regions over HTTP: who is home to what, how far copies are, and planned moves. */
import { Type } from 'typebox';
import { CardumeError } from '../base/errors.ts';
import type { Json } from '../base/json.ts';
import { type Operation, type OperationContext, operation } from '../gateway/operation.ts';
import type { RegionsRequest, RegionsStatus } from '../regions/requests.ts';
import type { Moved, SwitchedOver } from '../regions/switchover.ts';

/** Name of the port. */
export const REGIONS = 'regions';

export interface RegionsPort {
  readonly regions: readonly string[];
  /** @throws CardumeError `conflict` where the topology has no coordinator */
  ask(region: string, request: RegionsRequest): Promise<Json>;
}

const region = Type.String({ minLength: 1, maxLength: 63, description: 'A region of the topology.' });
const count = Type.Integer({ minimum: 0 });
const followed = Type.Object({
  home: region,
  partitions: count,
  entries_behind: Type.Integer({ minimum: 0, description: 'That its home had, and that are not here yet.' }),
  behind_ms: Type.Union([Type.Null(), count], {
    description: 'Since all copies were known to be up to date; null: they never were.',
  }),
  trouble: Type.Union([Type.Null(), Type.String()], { description: 'Why nothing is followed now.' }),
});
const regionStatus = Type.Object({
  region,
  /** The others say what they know. */
  reachable: Type.Boolean(),
  lease: Type.Boolean({ description: 'Whether it may write.' }),
  partitions: Type.Integer({ minimum: 0, description: 'That are at home there.' }),
  alone: Type.Integer({ minimum: 0, description: 'Entries of theirs that no other region has yet.' }),
  adopted: Type.Integer({ minimum: 0, description: 'Of them, those that were born in another region.' }),
  undecided: Type.Integer({
    minimum: 0,
    description: 'Entries that were cut off its copies and wait for a decision: see `/operators/quarantine`.',
  }),
  follows: Type.Array(followed),
});

/** @throws CardumeError `not-found` when the topology has no such region */
export function portOf({ port }: OperationContext, of?: string): RegionsPort {
  const known = port<RegionsPort>(REGIONS);
  if (of === undefined || known.regions.includes(of)) return known;
  const names = known.regions.join(', ');
  throw new CardumeError('not-found', `there is no region '${of.slice(0, 63)}'; there are ${names}`);
}

const overview = operation({
  id: 'operators.regions',
  method: 'GET',
  path: '/operators/regions',
  summary: 'What each region is home to, and how far its copies are behind',
  access: 'staff',
  replies: { 200: Type.Object({ regions: Type.Array(regionStatus) }) },
  failures: ['conflict'],
  async handle(_input, context) {
    const { regions: names, ask } = portOf(context);
    const regions = await Promise.all(
      names.map(async (name) => {
        const answer = await ask(name, { ask: 'status' }).catch((error: unknown) => {
          if (error instanceof CardumeError && error.code !== 'conflict') return null;
          throw error;
        });
        const status = answer as unknown as RegionsStatus | null;
        return {
          region: name,
          reachable: status !== null,
          lease: status?.isHeld ?? false,
          partitions: status?.partitions ?? 0,
          alone: status?.alone ?? 0,
          adopted: status?.adopted ?? 0,
          undecided: status?.undecided ?? 0,
          follows: (status?.follows ?? []).map(({ entriesBehind, behindMs, ...rest }) => ({
            ...rest,
            entries_behind: entriesBehind,
            behind_ms: behindMs,
          })),
        };
      }),
    );
    return { status: 200, body: { regions } };
  },
});

const switchover = operation({
  id: 'operators.switchover',
  method: 'POST',
  path: '/operators/regions/{region}/switchover',
  summary: 'Move what is at home in a region to another one: nothing is lost, callers wait for a moment',
  description:
    'Partitions move a few at a time. When one cannot, those before it have moved and the others stay: ask again. Those that the other region may not be home to stay in any case, and the answer says why; when there are no others, it is refused.',
  access: 'staff',
  params: Type.Object({ region }, { additionalProperties: false }),
  body: Type.Object(
    {
      to: region,
      born_in: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 63,
          description: 'Only partitions that the topology gives to this region, as when they go back to it.',
        }),
      ),
    },
    { additionalProperties: false },
  ),
  replies: {
    200: Type.Object({
      from: region,
      to: region,
      partitions: count,
      held_ms: count,
      kept: Type.Integer({
        minimum: 0,
        description: 'Partitions that stay: the topology lets other regions alone be home to them.',
      }),
      kept_why: Type.Array(Type.String()),
    }),
  },
  failures: ['not-found', 'conflict', 'invalid-input'],
  async handle({ params: { region: from }, body: { to, born_in: bornIn } }, context) {
    const { ask } = portOf(context, from);
    portOf(context, to);
    if (bornIn !== undefined) portOf(context, bornIn);
    const request: RegionsRequest = { ask: 'switch-over', to, bornIn: bornIn ?? null };
    for (let partitions = 0, heldMs = 0; ; ) {
      const answer = (await ask(from, request)) as unknown as SwitchedOver;
      partitions += answer.partitions;
      heldMs = Math.max(heldMs, answer.heldMs);
      // Of the version before: it knows of none.
      const { left = 0, kept = 0, keptWhy = [] } = answer as Moved & Partial<SwitchedOver>;
      if (left > 0) continue;
      return { status: 200, body: { from, to, partitions, held_ms: heldMs, kept, kept_why: keptWhy } };
    }
  },
});

export const regionsOperations: readonly Operation[] = [overview, switchover];
