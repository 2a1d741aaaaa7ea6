/**
 * The tails of which a quarantine consists: each is what was cut off one copy behind the place where two histories part,
 * without a gap. Tails follow each other in order of epoch, and checksums tell where one ends: an entry that does not follow
 * the one before it begins another.
 */
import { checksumOf, sameChecksum } from '../../events/checksum.ts';
import type { Entry } from '../../events/log.ts';
import type { Quarantined } from '../../events/quarantine.ts';
import type { Cryptography } from '../../host/cryptography.ts';

/** What one stream has in one tail, as far as nobody has decided about it. */
export interface StreamOfTail {
  readonly stream: string;
  /** The first entry of the tail. */
  readonly parted: Entry;
  /** In order; one at least. */
  readonly entries: Quarantined[];
}

/** Where a reading goes on. */
export interface TailMark {
  readonly parted: Entry;
  /** The last one that was read. */
  readonly last: Entry;
}

/**
 * @param page entries of one partition, in order, without a gap behind the mark
 * @returns streams in order of their first entry that is undecided, and the mark behind the page
 */
export function streamsIn(
  crypto: Pick<Cryptography, 'sha256'>,
  page: readonly Quarantined[],
  mark: TailMark | null,
): { readonly streams: readonly StreamOfTail[]; readonly mark: TailMark | null } {
  const streams = new Map<string, StreamOfTail>();
  let at = mark;
  for (const one of page) {
    const { entry } = one;
    const isNext =
      at !== null &&
      entry.position === at.last.position + 1 &&
      sameChecksum(checksumOf(crypto, at.last.checksum, entry), entry.checksum);
    const parted = isNext && at !== null ? at.parted : entry;
    at = { parted, last: entry };
    if (one.settled !== null) continue;
    const key = `${parted.epoch}/${parted.position}/${entry.stream}`;
    const found = streams.get(key);
    if (found === undefined) streams.set(key, { stream: entry.stream, parted, entries: [one] });
    else found.entries.push(one);
  }
  return { streams: [...streams.values()], mark: at };
}
