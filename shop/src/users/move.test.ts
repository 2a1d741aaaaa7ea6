import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { naturalId } from 'cardume/base/id';
import fc from 'fast-check';
import { current, idsOf, movesMax } from '../contracts/accounts.ts';
import { Rehearsal, type Script, stage } from '../rehearsal.ts';
import { type Address, accounts } from './account.ts';
import { service } from './users.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text.padEnd(16).slice(-16));
const idIn = (region: string, text: string): string =>
  naturalId('acc', stage.placeInRegion('users', region, text), bytes(text));
const anna = idIn('north', 'anna');
const address: Address = { name: 'Anna', line1: 'Storgata 1', city: 'Oslo', postcode: '0155', country: 'NO' };

function registered(script?: Script): Rehearsal {
  const play = script === undefined ? new Rehearsal([service]) : new Rehearsal([service], script);
  play.now(accounts, anna, { type: 'Register', role: 'customer', country: 'NO', name: 'Anna' });
  return play;
}

test('whatever goes wrong, a moved account is in one place, with all that was written', async () => {
  const roll = fc.infiniteStream(fc.nat({ max: 99 }));
  const crashes = fc.array(fc.nat({ max: 60 }), { maxLength: 3 });
  const moves = fc.integer({ min: 1, max: movesMax });
  await fc.assert(
    fc.asyncProperty(roll, moves, crashes, async (chances, moves, crashes) => {
      const chance = (): number => chances.next().value;
      let faultsLeft = 4 * moves;
      const play = registered({
        pick: (waiting) => chance() % waiting,
        fault: () => {
          const fault = (['lost', 'answer-lost', 'twice'] as const)[chance() % 5] ?? 'none';
          return faultsLeft-- > 0 ? fault : 'none';
        },
      });
      const ids = [anna];
      const written = { name: 'Anna', addresses: new Map<string, Address>() };
      let step = 0;

      /** Whoever writes finds the account as the API does, and writes where it takes writes. */
      function act(): void {
        let id = ids[chance() % ids.length] as string;
        let state = play.state(accounts, id);
        while (state.movedTo !== null && play.state(accounts, state.movedTo).status !== 'none') {
          id = state.movedTo;
          state = play.state(accounts, id);
        }
        if (state.status !== 'active') return;
        deepStrictEqual([state.name, state.addresses], [written.name, written.addresses], 'it reads all');
        if (chance() < 60) {
          written.name = `Anna ${step}`;
          play.now(accounts, id, { type: 'ChangeProfile', name: written.name });
        } else {
          const addressId = `adr_${step}`;
          if (written.addresses.size < 20) {
            written.addresses.set(addressId, address);
            play.now(accounts, id, { type: 'AddAddress', addressId, address });
          }
        }
        if (ids.length <= moves && chance() < 40) begin();
      }
      function begin(): void {
        const from = ids.at(-1) as string;
        const to = idIn(ids.length % 2 === 0 ? 'north' : 'south', `anna-${ids.length}`);
        play.now(accounts, from, { type: 'BeginMove', to, by: from });
        ids.push(to);
      }
      do {
        if (play.state(accounts, ids.at(-1) as string).status === 'active' && ids.length <= moves) begin();
        await play.play(() => {
          if (crashes.includes(step)) play.crash();
          act();
          step += 1;
        });
      } while (ids.length <= moves);

      const last = ids.at(-1) as string;
      for (const id of ids) {
        const found = await current(play.bus, accounts, id);
        deepStrictEqual([found.id, found.state.status, found.state.country], [last, 'active', 'NO']);
        deepStrictEqual([found.state.name, found.state.addresses], [written.name, written.addresses]);
        deepStrictEqual(await idsOf(play.bus, id), ids);
        if (id !== last) deepStrictEqual(play.state(accounts, id).status, 'moved');
      }
    }),
  );
});

test('an arrival that comes twice takes nothing back', async () => {
  const to = idIn('south', 'anna-1');
  const faults = ['twice'] as ('twice' | undefined)[];
  const play = registered({ pick: (waiting) => waiting - 1, fault: () => faults.shift() ?? 'none' });
  play.now(accounts, anna, { type: 'BeginMove', to, by: anna });
  let changed = false;
  await play.play(() => {
    if (changed || play.state(accounts, to).status !== 'active') return;
    play.now(accounts, to, { type: 'ChangeProfile', name: 'Anne' });
    changed = true;
  });
  deepStrictEqual(play.state(accounts, to).name, 'Anne');
  deepStrictEqual(play.state(accounts, anna).status, 'moved');
});
