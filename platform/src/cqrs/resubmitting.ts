/**
 * Entries that were cut off another copy of a partition, appended at its home after all: see
 * docs/decisions/0022-quarantine.md. It comes to what it would have come to, had their commands been on the way until now:
 * each aggregate stands where it stood when they were decided, and no idempotency key has had another answer. Of a stream
 * all that is given is appended, in order and together, or nothing is.
 *
 * Each carries the token that it had: whoever asks again finds that it stands.
 */
import { isCardumeError } from '../base/errors.ts';
import { checksumOf, sameChecksum } from '../events/checksum.ts';
import type { Entry, Log } from '../events/log.ts';
import { decodeToken, encodeToken } from '../events/token.ts';
import type { Cryptography } from '../host/cryptography.ts';
import type { KeyRing } from '../privacy/key-ring.ts';
import type { WrappedKey } from '../privacy/key-store.ts';
import { markedAs, markOf } from './answers.ts';
import type { Decisions } from './decisions.ts';
import type { Service } from './service.ts';

export interface Resubmission {
  readonly partition: number;
  readonly stream: string;
  /** The first entry that was cut off with them: before it the histories are one. */
  readonly parted: Entry;
  /** Of the stream, in order, as they were cut; at most as many as a read of the log returns. */
  readonly entries: readonly Entry[];
  /** That their personal fields are sealed under, as far as the region has them. */
  readonly keys: readonly WrappedKey[];
}

/**
 * @returns why it is refused, as the rest of a sentence; null: all of it stands in the log
 * @throws CardumeError when it could not be found out: it may be asked again
 */
export type Resubmit = (asked: Resubmission) => Promise<string | null>;

export interface ResubmittingGround {
  readonly crypto: Cryptography;
  readonly service: Pick<Service, 'aggregates'>;
  readonly log: Pick<Log, 'readStream' | 'readPartition' | 'findAnswer'>;
  readonly decisions: Pick<Decisions, 'append' | 'decode'>;
  readonly keys: KeyRing;
  /** See `personalSubjects`. */
  readonly personalSubject: (entry: Entry) => string | null;
}

const PAGE_EVENTS = 1_000;

export function resubmitting(ground: ResubmittingGround): Resubmit {
  const { crypto, log, decisions, keys, personalSubject } = ground;
  const names = new Map(ground.service.aggregates.map(({ idType, name }) => [idType, name]));

  /** Those that do not stand in the log yet. */
  async function missing({ partition, stream, entries }: Resubmission): Promise<Entry[]> {
    const first = firstVersion(entries);
    const standing =
      first === null ? [] : await log.readStream(partition, stream, first, Math.max(1, entries.length));
    const marks = new Set(standing.map(({ meta }) => markOf(meta)));
    const left: Entry[] = [];
    for (const entry of entries) {
      const answer = entry.key === null ? null : await log.findAnswer(partition, entry.key);
      if (answer !== null) marks.add(markOf(answer.meta));
      if (!marks.has(encodeToken(entry))) left.push(entry);
    }
    return left;
  }

  async function whyNot(asked: Resubmission, left: readonly Entry[]): Promise<string | null> {
    const { partition, stream } = asked;
    if (!names.has(stream.slice(0, 3))) return `this version knows no aggregates of '${stream.slice(0, 3)}'`;
    for (const { key } of left) {
      if (key !== null && (await log.findAnswer(partition, key)) !== null)
        return 'its idempotency key has another answer by now: whoever asked has asked again';
    }
    const events = left.filter(({ version }) => version !== null);
    const first = firstVersion(events);
    if (first === null) return null;
    const gap = events.findIndex(({ version }, i) => version !== first + i);
    if (gap >= 0) return restsOn(first + gap);
    const [going] = await log.readStream(partition, stream, first, 1);
    if (going !== undefined) return goneOn;
    if (first === 1) return null;
    const [before] = await log.readStream(partition, stream, first - 1, 1);
    if (before === undefined) return restsOn(first - 1);
    return (await isShared(asked, before, events[0] as Entry)) ? null : goneOn;
  }

  /** Whether the event that the others rest on is the one that they rested on when they were decided. */
  async function isShared({ partition, parted }: Resubmission, before: Entry, next: Entry): Promise<boolean> {
    const mark = markOf(before.meta);
    if (mark !== null) {
      const { epoch, position } = decodeToken(mark);
      const isOfTail = epoch >= parted.epoch && epoch <= next.epoch && position >= parted.position;
      if (isOfTail && position < next.position) return true;
    }
    if (before.position >= parted.position) return false;
    const [last] = await log.readPartition(partition, parted.position - 2, 1);
    return last !== undefined && sameChecksum(checksumOf(crypto, last.checksum, parted), parted.checksum);
  }

  /** A tail that never left its region may have keys that no one else has. */
  async function whyUnreadable(asked: Resubmission, left: readonly Entry[]): Promise<string | null> {
    const { partition, stream } = asked;
    const personal = left.filter((entry) => personalSubject(entry) !== null);
    const subject = personal[0] === undefined ? null : personalSubject(personal[0]);
    if (subject === null) return null;
    if ((await keys.find(partition, subject)) === null) {
      const given = asked.keys.find((key) => key.subject === subject);
      if (given === undefined || (await hadKey(asked))) return erased;
      await keys.ensure(partition, subject, given.wrapped);
    }
    const name = names.get(stream.slice(0, 3)) as string;
    try {
      for (const { type, data } of personal) await decisions.decode(name, stream, type, data);
    } catch (error) {
      if (isCardumeError(error)) throw error;
      return 'its personal fields are sealed under a key that its subject has no more';
    }
    return null;
  }

  /** Whether there are personal fields of the stream already: without a key, they are those of a person who was erased. */
  async function hadKey({ partition, stream }: Resubmission): Promise<boolean> {
    for (let from = 1; ; from += PAGE_EVENTS) {
      const page = await log.readStream(partition, stream, from, PAGE_EVENTS);
      if (page.some((entry) => personalSubject(entry) !== null)) return true;
      if (page.length < PAGE_EVENTS) return false;
    }
  }

  return async (asked) => {
    const left = await missing(asked);
    if (left.length === 0) return null;
    const refused = (await whyNot(asked, left)) ?? (await whyUnreadable(asked, left));
    // What stands in its way may be itself, asked for by another a moment ago.
    if (refused !== null) return (await missing(asked)).length === 0 ? null : refused;
    const entries = left.map(({ stream, version, type, data, meta, key, atMs, ...at }) => {
      return { stream, version, type, data, meta: markedAs(encodeToken(at), meta), key, atMs };
    });
    try {
      await decisions.append(asked.partition, asked.stream, entries);
      return null;
    } catch (error) {
      if (!isCardumeError(error, 'conflict') && !isCardumeError(error, 'already-exists')) throw error;
      // What it met may have been itself, asked for by another.
      if ((await missing(asked)).length === 0) return null;
      return goneOn;
    }
  };
}

const goneOn = 'its stream has gone on without it';
const erased = 'its personal fields cannot be read any more: their key was destroyed';
const restsOn = (version: number): string =>
  `it rests on version ${version} of its stream, which stands in no log: it can only come with that`;

function firstVersion(entries: readonly Entry[]): number | null {
  return entries.find(({ version }) => version !== null)?.version ?? null;
}
