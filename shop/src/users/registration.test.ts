import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { naturalId } from 'cardume/base/id';
import fc from 'fast-check';
import { Rehearsal, type Script, stage } from '../rehearsal.ts';
import { accounts } from './account.ts';
import { emails } from './claim.ts';
import { service } from './users.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text.padEnd(16));
const claimed = naturalId('clm', stage.placeInGlobal('users', 'address'), bytes('address'));
const accountNamed = (text: string): string =>
  naturalId('acc', stage.placeInRegion('users', 'north', text), bytes(text));
const anna = accountNamed('anna');
const bert = accountNamed('bert');

function register(play: Rehearsal, account: string): void {
  play.now(accounts, account, {
    type: 'Register',
    role: 'customer',
    country: 'NO',
    name: 'N',
    email: 'e',
    claim: claimed,
  });
}

test('a claimed e-mail makes the account active', async () => {
  const play = new Rehearsal([service]);
  play.now(emails.claims, claimed, { type: 'Claim', account: anna });
  register(play, anna);
  await play.play();
  deepStrictEqual(play.state(accounts, anna).status, 'active');
  deepStrictEqual(play.state(emails.claims, claimed).confirmed, true);
});

test('an account whose claim has lapsed and was taken is abandoned', async () => {
  const play = new Rehearsal([service]);
  play.now(emails.claims, claimed, { type: 'Claim', account: anna });
  play.nowMs += 60_000;
  play.now(emails.claims, claimed, { type: 'Claim', account: bert });
  register(play, anna);
  await play.play();
  deepStrictEqual(play.state(accounts, anna).status, 'abandoned');
});

test('a confirmation that comes when the account was abandoned long ago takes no e-mail', async () => {
  const late: Script = { pick: () => 0, fault: () => (faults.shift() ? 'twice' : 'none') };
  const faults = [true];
  const play = new Rehearsal([service], late);
  play.now(emails.claims, claimed, { type: 'Claim', account: anna });
  play.nowMs += 60_000;
  play.now(emails.claims, claimed, { type: 'Claim', account: bert });
  register(play, anna);
  let hasLetGo = false;
  await play.play(() => {
    if (hasLetGo || faults.length > 0) return;
    hasLetGo = true; // Between the refusal and its twin: Bert's account was not made.
    play.now(emails.claims, claimed, { type: 'Release', account: bert });
  });
  deepStrictEqual(play.state(accounts, anna).status, 'abandoned');
  deepStrictEqual(play.state(emails.claims, claimed).account, null);
});

test('whatever goes wrong, at most one of two accounts gets the e-mail, and both come to an end', async () => {
  const roll = fc.infiniteStream(fc.nat({ max: 99 }));
  await fc.assert(
    fc.asyncProperty(roll, fc.nat({ max: 90_000 }), fc.nat({ max: 8 }), async (chances, gapMs, crashAt) => {
      const chance = (): number => chances.next().value;
      let faultsLeft = 6;
      const script: Script = {
        pick: (waiting) => chance() % waiting,
        fault: () => {
          const fault = (['lost', 'answer-lost', 'twice'] as const)[chance() % 6] ?? 'none';
          return faultsLeft-- > 0 ? fault : 'none';
        },
      };
      const play = new Rehearsal([service], script);
      play.now(emails.claims, claimed, { type: 'Claim', account: anna });
      play.nowMs += gapMs;
      const second = gapMs >= 60_000;
      if (second) play.now(emails.claims, claimed, { type: 'Claim', account: bert });
      register(play, anna);
      if (second) register(play, bert);
      let step = 0;
      await play.play(() => {
        if (step === crashAt) play.crash();
        step += 1;
      });
      const ends = [anna, ...(second ? [bert] : [])].map((one) => play.state(accounts, one).status);
      deepStrictEqual(ends, second ? ['abandoned', 'active'] : ['active']);
    }),
  );
});
