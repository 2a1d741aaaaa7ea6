/**
 * Snapshots bound how many events a cold load folds. A snapshot holds the state right after an event that is durable. It
 * is made when a decision crosses a multiple of `snapshotEveryEvents`, and when a load had to fold more than so many:
 * after the snapshots were lost, or the code that wrote them was replaced. States with personal data are sealed under
 * the subject's key.
 */
import { deserialize, serialize } from 'node:v8';
import type { Cryptography } from '../host/cryptography.ts';
import type { Reading, Snapshot } from './storage.ts';

export interface SnapshotStore {
  /** @returns the state as bytes, now, before it changes further */
  freeze(stream: string, state: unknown, key: Uint8Array | null): Uint8Array;
  save(snapshot: Snapshot): void;
  /**
   * Whoever asks finds out whether the log still has the event that it stands behind.
   * @returns null when there is none of this revision, or it does not open
   */
  find(partition: number, stream: string, revision: number, key: Uint8Array | null): Promise<Frozen | null>;
}

/** A state, and the event that it stands behind. */
export type Frozen = Pick<Snapshot, 'version' | 'epoch' | 'position'> & { readonly state: unknown };

export function openSnapshots(
  crypto: Cryptography,
  { findSnapshot }: Pick<Reading, 'findSnapshot'>,
  save: (snapshot: Snapshot) => void,
): SnapshotStore {
  const context = (stream: string): string => `snapshot/${stream}`;
  return {
    freeze(stream, state, key) {
      const bytes = serialize(state);
      return key === null ? bytes : crypto.seal(key, bytes, context(stream));
    },
    save,
    async find(partition, stream, revision, key) {
      const found = await findSnapshot(partition, stream);
      if (found === null || found.revision !== revision) return null;
      const bytes = key === null ? found.state : crypto.open(key, found.state, context(stream));
      return bytes === null ? null : opened(bytes, found);
    },
  };
}

/** Bytes of a newer Node, or damaged ones, are as good as none: the log has it all. */
function opened(bytes: Uint8Array, { version, epoch, position }: Snapshot): Frozen | null {
  try {
    return { state: deserialize(bytes), version, epoch, position };
  } catch {
    return null;
  }
}
