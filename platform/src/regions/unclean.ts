/**
 * A partition that was taken over by the copy that is furthest, without a proof that it has all that its lost home had
 * (Kafka's term: an unclean election), stays *unclean* until that region follows it again: from then on nobody has entries of
 * it that its home does not know. Whoever decides is told (`DecideContext.unclean`), since what the lost region promised may be unknown here.
 */
import type { RegionName } from '../topology/topology.ts';

/** JSON. */
export interface Unclean {
  /** That began with the last such loss. */
  readonly term: number;
  /** Homes that were lost, and do not follow yet. */
  readonly lost: readonly RegionName[];
}

/** Part of a home's value at the coordinator. */
export interface MaybeUnclean {
  readonly unclean?: Unclean;
}

/** What is left when these follow it, or are home to it: then it is known what they had. */
export function without({ unclean }: MaybeUnclean, isKnown: (lost: RegionName) => boolean): MaybeUnclean {
  if (unclean === undefined) return {};
  const lost = unclean.lost.filter((region) => !isKnown(region));
  return lost.length === 0 ? {} : { unclean: { ...unclean, lost } };
}

/** Another home takes over from one that was lost. */
export function afterLoss(
  before: MaybeUnclean,
  lost: RegionName,
  term: number,
  to: RegionName,
): MaybeUnclean {
  const already = without(before, (region) => region === to || region === lost).unclean?.lost ?? [];
  return { unclean: { term, lost: [...already, lost] } };
}
