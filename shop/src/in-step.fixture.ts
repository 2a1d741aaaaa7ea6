/** How regions stand to each other, as operators see it. */
import { type Cluster, until } from './cluster.fixture.ts';

interface RegionSeen {
  readonly region: string;
  readonly reachable: boolean;
  readonly partitions: number;
  readonly adopted: number;
  /** Entries that no other region has yet. */
  readonly alone: number;
  readonly undecided: number;
  readonly follows: readonly {
    readonly partitions: number;
    readonly entries_behind: number;
    readonly behind_ms: number | null;
  }[];
}

export async function regionsOf(cluster: Cluster, from = 'us-west'): Promise<readonly RegionSeen[]> {
  const { regions } = await cluster.done(from, 'GET', '/operators/regions', { token: cluster.staff });
  return regions as RegionSeen[];
}

/** Waits until every copy has what its home has, and homes know it. */
export function inStep(cluster: Cluster): Promise<void> {
  return until('all copies are up to date', async () =>
    (await regionsOf(cluster)).every(
      ({ reachable, alone, follows }) =>
        reachable &&
        alone === 0 &&
        follows.every(
          ({ partitions, entries_behind: behind, behind_ms: ms }) =>
            partitions === 0 || (behind === 0 && ms !== null && ms < 2_000),
        ),
    ),
  );
}
