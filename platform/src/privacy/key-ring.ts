/** The keys of subjects in memory: a bounded cache in front of the shard's key store. */
import { LRUCache } from 'lru-cache';
import type { Host } from '../host/host.ts';
import type { WrappedKey } from './key-store.ts';

export interface KeyRing {
  /**
   * The subject's key; when there is none yet, one is made and stored durably.
   * @param given wrapped, in place of one that is made
   */
  ensure(partition: number, subject: string, given?: Uint8Array): Promise<Uint8Array>;
  /** @returns null when there is none: never made, or destroyed */
  find(partition: number, subject: string): Promise<Uint8Array | null>;
  /** Of these subjects, or of all, nothing is known by heart any more: other keys may have come from elsewhere. */
  forget(subjects?: readonly string[]): void;
}

/** How the ring reaches the store on its thread. */
export interface KeyStorePort {
  ensure(key: WrappedKey): Promise<Uint8Array>;
  find(partition: number, subject: string): Promise<Uint8Array | null>;
}

export function openKeyRing(
  host: Host,
  masterKey: Uint8Array,
  store: KeyStorePort,
  keysCachedMax: number,
): KeyRing {
  const cached = new LRUCache<string, Uint8Array>({ max: keysCachedMax });
  const context = (subject: string): string => `subject-key/${subject}`;
  function unwrap(subject: string, wrapped: Uint8Array): Uint8Array {
    const key = host.crypto.open(masterKey, wrapped, context(subject));
    if (key === null)
      throw new Error('a subject key does not open: the master key is not the one it was made with');
    cached.set(subject, key);
    return key;
  }
  return {
    async ensure(partition, subject, given) {
      const known = cached.get(subject);
      if (known !== undefined) return known;
      const wrapped = given ?? host.crypto.seal(masterKey, host.random.bytes(32), context(subject));
      return unwrap(subject, await store.ensure({ partition, subject, wrapped }));
    },
    async find(partition, subject) {
      const known = cached.get(subject);
      if (known !== undefined) return known;
      const wrapped = await store.find(partition, subject);
      return wrapped === null ? null : unwrap(subject, wrapped);
    },
    forget(subjects) {
      if (subjects === undefined) cached.clear();
      else for (const subject of subjects) cached.delete(subject);
    },
  };
}
