/**
 * A batch over any engine: positions and checksums are computed before its transaction begins. An append that the
 * engine refuses takes the later appends of its partition with it, since they may rest on it; the transaction is done
 * again without them. So of each partition a prefix of its appends stands, and the loop ends after as many rounds as
 * there are partitions, plus one.
 */
import { type CardumeError, isCardumeError } from '../base/errors.ts';
import type { Cryptography } from '../host/cryptography.ts';
import { type Batch, type Failure, unpack } from './batch.ts';
import { checksumOf, joinChecksums } from './checksum.ts';
import type { Committed } from './engine.ts';
import type { Entry, Head, PartitionKey } from './log.ts';
import { recentVersions } from './recent-versions.ts';

/** An append of a batch, as it will stand. */
export interface Append {
  /** Its place in the batch. */
  readonly number: number;
  readonly partition: PartitionKey;
  readonly entries: readonly Entry[];
}

/** A partition's head moves from here to there. */
export interface Move {
  readonly from: Head;
  readonly to: Head;
  /** Of the first append that moves it. */
  readonly append: number;
}

export interface Attempt {
  /** Number of the batch. */
  readonly batch: number;
  readonly appends: readonly Append[];
  /** One of each partition touched. */
  readonly moves: readonly Move[];
  /** Of each stream, the first event of the batch. */
  readonly firsts: readonly Following[];
  /** Those of them whose version before must stand in the log, and is not known to. */
  readonly follows: readonly Following[];
}

export interface Following {
  /** Of the append. */
  readonly append: number;
  readonly entry: Entry;
}

/**
 * One transaction that admits the attempt as a whole: heads move from the epochs and positions given, versions follow
 * one another and stand once, a key is answered once.
 * @throws Refused for the append that may not stand; CardumeError for a failure of the storage. Nothing stands then.
 */
export type Admit = (attempt: Attempt) => Promise<void>;

/** An append may not stand. */
export class Refused extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.detail);
    this.failure = failure;
  }
}

export function refusedVersion(append: number, { stream, version }: Entry): Refused {
  const detail = `version ${version} of '${stream}' exists already, or does not follow the last one`;
  return new Refused({ append, code: 'conflict', detail });
}

export function refusedKey(append: number, key: string): Refused {
  return new Refused({ append, code: 'already-exists', detail: `the key '${key}' has an answer` });
}

export function refusedEpoch(append: number, { partition, epoch }: Head): Refused {
  const detail = `partition ${partition} was opened elsewhere after epoch ${epoch}`;
  return new Refused({ append, code: 'fenced', detail });
}

export interface Commits {
  heads(): Head[];
  /** A partition whose home is here from now on. */
  enter(head: Head): void;
  /** Its home is not here any more. */
  leave(partition: PartitionKey): void;
  commit(batch: Batch): Promise<Committed>;
}

export function commits(
  crypto: Pick<Cryptography, 'sha256'>,
  opened: readonly Head[],
  admit: Admit,
): Commits {
  const heads = new Map(opened.map((head) => [head.partition, head]));
  /** Streams are written while they are young: most versions that are looked for were committed a moment ago. */
  const recent = recentVersions();

  /** Gives every append its positions and checksums, as if all were accepted. */
  function chain(batch: Batch): Append[] {
    const ends = new Map<PartitionKey, { position: number; checksum: Uint8Array }>();
    const appends: Append[] = [];
    let index = 0;
    for (let i = 0; i < batch.appends.length; i += 2) {
      const partition = batch.appends[i] as number;
      const count = batch.appends[i + 1] as number;
      const head = heads.get(partition) as Head;
      let { position, checksum } = ends.get(partition) ?? head;
      const entries: Entry[] = [];
      for (let n = 0; n < count; n += 1) {
        position += 1;
        const entry = unpack(batch, index, partition, head.epoch, position);
        checksum = checksumOf(crypto, checksum, entry);
        entry.checksum = checksum;
        entries.push(entry);
        index += 1;
      }
      ends.set(partition, { position, checksum });
      appends.push({ number: i / 2, partition, entries });
    }
    return appends;
  }

  /** From its head to the last entry that the appends give each partition. */
  function movesOf(appends: readonly Append[]): Move[] {
    const moves = new Map<PartitionKey, Move>();
    for (const { number, partition, entries } of appends) {
      const { epoch, position, checksum } = entries.at(-1) as Entry;
      const to = { partition, epoch, lastEpoch: epoch, position, checksum };
      const from = heads.get(partition) as Head;
      moves.set(partition, { from, to, append: moves.get(partition)?.append ?? number });
    }
    return [...moves.values()];
  }

  /**
   * Versions of a stream stand without gaps: only a batch's first event of a stream must look for the one before.
   * @throws Refused where the batch itself shows a gap
   */
  function firstsOf(appends: readonly Append[]): Following[] {
    const versions = new Map<string, number>();
    const firsts: Following[] = [];
    for (const { number, entries } of appends) {
      for (const entry of entries) {
        const { stream, version } = entry;
        if (version === null) continue;
        const before = versions.get(stream);
        if (before !== undefined && version !== before + 1) throw refusedVersion(number, entry);
        if (before === undefined) firsts.push({ append: number, entry });
        versions.set(stream, version);
      }
    }
    return firsts;
  }

  function isKnown({ entry: { stream, version } }: Following): boolean {
    const before = (version as number) - 1;
    return before === 0 || recent.has(stream, before);
  }

  async function attempt(batch: Batch, appends: readonly Append[]): Promise<void> {
    const moves = movesOf(appends);
    const firsts = firstsOf(appends);
    const follows = firsts.filter((first) => !isKnown(first));
    await admit({ batch: batch.number, appends, moves, firsts, follows });
    for (const { to } of moves) heads.set(to.partition, to);
  }

  /** The failed append, and those that may rest on it. */
  function failuresOf(appends: readonly Append[], failure: Failure): Failure[] {
    const { partition } = appends.find(({ number }) => number === failure.append) as Append;
    return appends
      .filter((append) => append.partition === partition && append.number >= failure.append)
      .map(({ number }) =>
        number === failure.append || failure.code === 'fenced'
          ? { ...failure, append: number }
          : { append: number, code: 'conflict', detail: 'an earlier append of the same batch failed' },
      );
  }

  return {
    heads: () => [...heads.values()],
    enter: (head) => void heads.set(head.partition, head),
    leave: (partition) => void heads.delete(partition),
    async commit(batch) {
      const all = chain(batch);
      const failures = new Map<number, Failure>();
      let standing: readonly Append[] = all;
      while (standing.length > 0) {
        try {
          await attempt(batch, standing);
          break;
        } catch (error) {
          const found =
            error instanceof Refused ? failuresOf(standing, error.failure) : failedAlike(standing, error);
          for (const failure of found) failures.set(failure.append, failure);
          standing = standing.filter(({ number }) => !failures.has(number));
        }
      }
      const entries = standing.flatMap((append) => append.entries);
      for (const { stream, version } of entries) if (version !== null) recent.add(stream, version);
      return {
        outcome: {
          batch: batch.number,
          positions: all.map(({ number, entries: [first] }) =>
            failures.has(number) ? 0 : (first as Entry).position,
          ),
          failures: [...failures.values()].sort((a, b) => a.append - b.append),
          checksums: joinChecksums(entries),
        },
        entries,
      };
    },
  };
}

/** @throws what is no expected failure */
function failedAlike(appends: readonly Append[], error: unknown): Failure[] {
  if (!isCardumeError(error)) throw error;
  const { code, message } = error as CardumeError;
  return appends.map(({ number }) => ({ append: number, code, detail: message }));
}
