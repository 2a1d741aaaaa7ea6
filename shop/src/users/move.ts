/**
 * Carries an account to another region: all that it is arrives under its new id, sealed under a key of its own there;
 * then the old id points to it for good. Each step may run again, and late: whoever has arrived once does not again, so
 * what was changed there since is kept.
 *
 * The process holds ids alone. What is personal it reads and passes on while it runs, from the account, which does not
 * change any more. The claim on the e-mail stays with the first id.
 */
import { process } from 'cardume/cqrs/process';
import { type AccountCommand, type AccountEvent, type AccountState, account, accounts } from './account.ts';

interface Move {
  /** The new id; null when it has moved. */
  readonly to: string | null;
}

export const moves = process<Move, AccountEvent, AccountCommand>({
  name: 'moves',
  of: account,
  startsOn: ['MoveBegun'],
  initial: () => ({ to: null }),
  evolve(state, event) {
    if (event.type === 'MoveBegun') return { to: event.to };
    return event.type === 'AccountMoved' ? { to: null } : state;
  },
  ended: ({ to }) => to === null,
  react: ({ to }, from) =>
    to === null
      ? []
      : [
          {
            key: 'arrive',
            kind: 'work',
            async run({ bus }) {
              const { state } = await bus.load(accounts, from);
              await bus.send(accounts, to, arriving(from, state));
              // What stays here is sealed under the old id's key. To destroy it will be a step between these two.
              return { type: 'EndMove' };
            },
          },
        ],
});

function arriving(from: string, state: AccountState): AccountCommand {
  const { role, country, registeredAtMs, name, email, passwordHash, claim, former } = state;
  return {
    type: 'Arrive',
    former: [...former, from],
    role,
    country,
    registered_at_ms: registeredAtMs,
    name,
    email,
    password_hash: passwordHash,
    claim,
    addresses: [...state.addresses].flatMap(([address_id, address]) =>
      address === null ? [] : [{ address_id, address }],
    ),
  };
}
