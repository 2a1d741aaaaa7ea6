import { deepStrictEqual, notDeepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { realHost } from '../host/real.ts';
import { openKeyRing } from './key-ring.ts';

test('a key that came from elsewhere counts, once the ring has been told to forget its own', async () => {
  const host = realHost();
  const masterKey = host.random.bytes(32);
  const stored = new Map<string, Uint8Array>();
  const store = {
    async ensure({ subject, wrapped }: { readonly subject: string; readonly wrapped: Uint8Array }) {
      if (!stored.has(subject)) stored.set(subject, wrapped);
      return stored.get(subject) as Uint8Array;
    },
    find: async (_: number, subject: string) => stored.get(subject) ?? null,
  };
  const ring = openKeyRing(host, masterKey, store, 10);
  const [own, other] = [await ring.ensure(1, 'ana'), await ring.ensure(1, 'ben')];
  const theirs = host.random.bytes(32);
  stored.set('ana', host.crypto.seal(masterKey, theirs, 'subject-key/ana'));
  deepStrictEqual(await ring.find(1, 'ana'), own, 'by heart');

  ring.forget(['ana']);
  deepStrictEqual(Buffer.from((await ring.find(1, 'ana')) as Uint8Array), Buffer.from(theirs));
  notDeepStrictEqual(theirs, own);
  stored.clear();
  deepStrictEqual(await ring.find(1, 'ben'), other, 'others stay');
  ring.forget();
  deepStrictEqual(await ring.find(1, 'ben'), null);
});
