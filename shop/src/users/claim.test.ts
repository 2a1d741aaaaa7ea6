import { deepStrictEqual, match, notDeepStrictEqual } from 'node:assert/strict';
import { describe, test } from 'node:test';
import { realHost } from 'cardume/host/real';
import { given } from 'cardume/testing/given';
import { stage } from '../rehearsal.ts';
import { type ClaimEvent, emails } from './claim.ts';

const claim = emails.aggregate;
const byAnna: ClaimEvent = { type: 'EmailClaimed', account: 'anna', until_ms: 60_000 };
const confirmed: ClaimEvent = { type: 'EmailConfirmed', account: 'anna' };
const released: ClaimEvent = { type: 'EmailReleased', account: 'anna' };
const later = { atMs: 60_000 };

describe('a claim on an e-mail', () => {
  test('is taken for a minute', () => {
    given(claim, [])
      .when({ type: 'Claim', account: 'anna' })
      .then({ events: [byAnna] });
    given(claim, [byAnna]).when({ type: 'Claim', account: 'anna' }).then({ events: [] });
    given(claim, [byAnna])
      .when({ type: 'Claim', account: 'bert' }, { atMs: 59_999 })
      .then({ rejected: 'email-taken' });
  });

  test('lapses when it was not confirmed', () => {
    const byBert: ClaimEvent = { type: 'EmailClaimed', account: 'bert', until_ms: 120_000 };
    given(claim, [byAnna])
      .when({ type: 'Claim', account: 'bert' }, later)
      .then({ events: [byBert] });
    given(claim, [byAnna, byBert])
      .when({ type: 'Confirm', account: 'anna' }, later)
      .then({ rejected: 'email-taken' });
  });

  test('is confirmed, also late when no one else wanted it, and then stays', () => {
    given(claim, [byAnna])
      .when({ type: 'Confirm', account: 'anna' }, later)
      .then({ events: [confirmed] });
    given(claim, [byAnna, confirmed]).when({ type: 'Confirm', account: 'anna' }).then({ events: [] });
    given(claim, [byAnna, confirmed])
      .when({ type: 'Claim', account: 'bert' }, later)
      .then({ rejected: 'email-taken' });
    given(claim, [byAnna, confirmed]).when({ type: 'Release', account: 'anna' }).then({ events: [] });
  });

  test('is let go by its account only', () => {
    given(claim, [byAnna]).when({ type: 'Release', account: 'bert' }).then({ events: [] });
    given(claim, [byAnna])
      .when({ type: 'Release', account: 'anna' })
      .then({ events: [released] });
  });

  test('is taken by whoever confirms it while nobody has it: a twin of the request had let it go', () => {
    for (const history of [[byAnna, released], []]) {
      given(claim, history)
        .when({ type: 'Confirm', account: 'anna' }, { atMs: 5 })
        .then({
          events: [
            { type: 'EmailClaimed', account: 'anna', until_ms: 60_005 },
            { type: 'EmailConfirmed', account: 'anna' },
          ],
        });
    }
    const byBert = { type: 'EmailClaimed', account: 'bert', until_ms: 90_000 } as const;
    given(claim, [byAnna, released, byBert])
      .when({ type: 'Confirm', account: 'anna' })
      .then({ rejected: 'email-taken' });
  });
});

test('one address has one claim, whatever its spelling, and its id does not tell it', () => {
  const { crypto } = realHost();
  const secret = new Uint8Array(32);
  const ground = { geography: stage, secretDigest: (text: string) => crypto.hmacSha256(secret, text) };
  const id = emails.idOf('Anna@Example.org', ground);
  deepStrictEqual(id, emails.idOf('anna@example.ORG', ground));
  notDeepStrictEqual(id, emails.idOf('anne@example.org', ground));
  match(id, /^clm_0/);
});
