/** A small service for tests of unique values: players, each with a name that no other player has. */
import { Type } from 'typebox';
import { accept, aggregate } from './aggregate.ts';
import { process } from './process.ts';
import type { Service } from './service.ts';
import { unique } from './unique.ts';

export const names = unique({
  service: 'players',
  name: 'name-claim',
  idType: 'nam',
  value: 'name',
  holder: 'player',
  normal: (name) => name.toLowerCase(),
  taken: { code: 'already-exists', detail: 'another player has the name' },
});

export type PlayerEvent =
  | { readonly type: 'Joined'; readonly claim: string }
  | { readonly type: 'Named' | 'Unnamed' | 'Freed' }
  | { readonly type: 'Left'; readonly claim: string };

export interface PlayerCommand {
  readonly type: 'Join' | 'Name' | 'Unname' | 'Leave' | 'Free';
  readonly claim?: string;
}

export interface Player {
  status: 'none' | 'pending' | 'named' | 'unnamed' | 'left';
  claim: string;
}

export const player = aggregate<Player, PlayerCommand, PlayerEvent>({
  name: 'player',
  idType: 'ply',
  events: {
    Joined: Type.Object({ claim: Type.String() }),
    Named: Type.Object({}),
    Unnamed: Type.Object({}),
    Left: Type.Object({ claim: Type.String() }),
    Freed: Type.Object({}),
  },
  initial: () => ({ status: 'none', claim: '' }),
  decide({ type, claim = '' }, state) {
    switch (type) {
      case 'Join':
        return accept(state.status === 'none' ? [{ type: 'Joined', claim }] : []);
      case 'Name':
        return accept(state.status === 'pending' ? [{ type: 'Named' }] : []);
      case 'Unname':
        return accept(state.status === 'pending' ? [{ type: 'Unnamed' }] : []);
      case 'Leave':
        return accept(state.status === 'named' ? [{ type: 'Left', claim: state.claim }] : []);
      case 'Free':
        return accept([{ type: 'Freed' }]);
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'Joined':
        state.status = 'pending';
        state.claim = event.claim;
        break;
      case 'Named':
        state.status = 'named';
        break;
      case 'Unnamed':
        state.status = 'unnamed';
        break;
      case 'Left':
        state.status = 'left';
        break;
    }
    return state;
  },
});

type Naming = { readonly want: 'confirm' | 'free'; readonly claim: string } | null;

const naming = process<Naming, PlayerEvent, PlayerCommand>({
  name: 'naming',
  of: player,
  startsOn: ['Joined', 'Left'],
  initial: () => null,
  evolve(_state, event) {
    if (event.type === 'Joined') return { want: 'confirm', claim: event.claim };
    if (event.type === 'Left') return { want: 'free', claim: event.claim };
    return null;
  },
  ended: (state) => state === null,
  react(state, id) {
    if (state === null) return [];
    if (state.want === 'free') return [names.freeing(state.claim, id, { type: 'Free' })];
    return [names.confirming(state.claim, id, { held: { type: 'Name' }, lost: { type: 'Unname' } })];
  },
});

export const service: Service = {
  name: 'players',
  module: import.meta.url,
  aggregates: [player, names.aggregate],
  projections: [],
  processes: [naming],
};
