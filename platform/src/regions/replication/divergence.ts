/**
 * Where the history of a copy parts from its home's: of all positions up to which both could agree, the greatest at which
 * their checksums do. Checksums chain, so that logs which agree at a position agree in everything before it.
 */
import { CardumeError } from '../../base/errors.ts';

/** At one ask. */
const PROBES = 24;
/** 24-fold each time: more than any partition has. */
const ROUNDS_MAX = 16;

/** Checksums in base64 at positions in rising order, null where there is none. */
export type ChecksumsAt = (positions: readonly number[]) => Promise<readonly (string | null)[]>;

/**
 * @param upTo the copy's last position
 * @returns the last position at which both are the same; 0: they have nothing in common
 */
export async function commonPosition(copy: ChecksumsAt, home: ChecksumsAt, upTo: number): Promise<number> {
  let same = 0;
  let different = upTo + 1;
  for (let round = 0; different - same > 1; round += 1) {
    if (round === ROUNDS_MAX) throw new CardumeError('conflict', 'where two histories part was not found');
    const positions = probesBetween(same, different);
    const [ours, theirs] = await Promise.all([copy(positions), home(positions)]);
    positions.forEach((position, i) => {
      if (ours[i] != null && ours[i] === theirs[i]) same = Math.max(same, position);
      else different = Math.min(different, position);
    });
  }
  return same;
}

/** Evenly, both ends left out. */
function probesBetween(low: number, high: number): number[] {
  const count = Math.min(PROBES, high - low - 1);
  return Array.from({ length: count }, (_, i) => low + Math.ceil(((i + 1) * (high - low)) / (count + 1)));
}
