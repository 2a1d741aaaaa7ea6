import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import house from '../../../../cardume.config.ts';
import type { Entry, Head } from '../../events/log.ts';
import { simulation } from '../../testing/simulated/host.ts';
import { residencyIn } from '../../topology/residency.ts';
import type { ResidencyPolicy, ServiceTopology } from '../../topology/topology.ts';
import { openWatermarks } from '../watermarks.ts';
import { type Parcel, unpackPages } from './pages.ts';
import { type FollowFrom, openSource, type SourceShard } from './source.ts';

const EU = 3 * 1024;
const US = 1 * 1024;
const checksum = (position: number): Uint8Array => new Uint8Array(16).fill(position);

const entryAt = (partition: number, position: number): Entry => ({
  ...{ partition, position, epoch: 1, stream: `acc_${position}`, version: 1, type: 'Named' },
  ...{ data: '{"name":"sealed"}', meta: null, key: null, atMs: 0, checksum: checksum(position) },
});

/** Each of its partitions has three entries of one subject each. */
const shard: SourceShard = {
  log: {
    head: (partition): Head => ({ partition, epoch: 1, lastEpoch: 1, position: 3, checksum: checksum(3) }),
    async readPartition(partition, after, entriesMax) {
      const positions = [1, 2, 3].filter((position) => position > after).slice(0, entriesMax);
      return positions.map((position) => entryAt(partition, position));
    },
    onCommit: () => () => undefined,
  },
  moving: {
    keysFor: async (entries) =>
      entries.map(({ partition, stream }) => ({ partition, subject: stream, wrapped: checksum(9) })),
  },
};

/** The home of users in eu-west and us-east is here, whatever the policy of those of eu-west says. */
function source(policy: ResidencyPolicy, here = 'eu-west') {
  const users = { ...(house.services['users'] as ServiceTopology), residency: { 'eu-west': policy } };
  const sim = simulation({ seed: 1 });
  const reports: string[] = [];
  const lost: (readonly [string, number])[] = [];
  const opened = openSource({
    here,
    homeOf: () => shard,
    watermarks: openWatermarks(sim.machine(here).clock, 1_000),
    residency: residencyIn({ ...house, services: { ...house.services, users } }),
    check: () => undefined,
    lost: (service, partition) => void lost.push([service, partition]),
    report: (message) => void reports.push(message),
  });
  /** What a region gets that stands at a position of each partition. */
  async function sent(to: string, at: number, ...partitions: number[]): Promise<readonly [Parcel, Parcel]> {
    const end = new AbortController();
    const from = partitions.map((partition): FollowFrom => ['users', partition, at, checksum(at).toBase64()]);
    const parcels = opened.replicate(to, { session: 's', from }, end.signal)[Symbol.asyncIterator]();
    const first = (await parcels.next()).value as Parcel;
    if (first.gone.length + first.diverged.length === partitions.length) return [first, first];
    const second = (await parcels.next()).value as Parcel;
    end.abort();
    await parcels.next();
    return [first, second];
  }
  return { sim, reports, lost, sent, checksums: opened.checksums };
}

test('a region that may hold nothing of a partition is refused it, and gets the others', async () => {
  const { sim, sent, checksums } = source({ regions: ['eu-west', 'us-west'], elsewhere: 'nothing' });
  const [first, second] = await sent('us-east', 0, EU, US);
  deepStrictEqual(first.gone, [['users', EU]]);
  const pages = unpackPages(second.pages);
  deepStrictEqual(
    pages.map(({ partition, entries, keys }) => [partition, entries.length, keys.length]),
    [[US, 3, 3]],
  );
  deepStrictEqual(await checksums('us-east', 'users', EU, [1]), [null]);
  deepStrictEqual(await checksums('us-west', 'users', EU, [1]), [checksum(1).toBase64()]);
  const [, toOther] = await sent('us-west', 0, EU);
  strictEqual(unpackPages(toOther.pages)[0]?.keys.length, 3);
  sim.close();
});

test('a region that may hold a partition sealed gets entries and no keys', async () => {
  const { sim, sent } = source({ regions: ['eu-west'], elsewhere: 'sealed' });
  const [, { pages }] = await sent('us-east', 0, EU, US);
  deepStrictEqual(
    unpackPages(pages).map(({ partition, entries, keys }) => [partition, entries.length, keys.length]),
    [
      [EU, 3, 0],
      [US, 3, 3],
    ],
  );
  sim.close();
});

test('a copy that has more than the only region that may be home is not cut: the home has lost its disk, and is not served', async () => {
  const alone = source({ regions: ['eu-west'], elsewhere: 'sealed' });
  for (let i = 0; i < 2; i += 1) {
    const [{ gone, diverged }] = await alone.sent('us-east', 7, EU);
    deepStrictEqual([gone, diverged], [[['users', EU]], []]);
  }
  strictEqual(alone.reports.length, 1);
  deepStrictEqual(alone.lost[0], ['users', EU]);
  const [{ diverged }] = await alone.sent('us-east', 7, US);
  deepStrictEqual(diverged, [['users', US]]);
  // It is home to what it may not be, since before there was a policy.
  const other = source({ regions: ['eu-west'], elsewhere: 'sealed' }, 'us-west');
  const [cut] = await other.sent('us-east', 7, EU);
  deepStrictEqual(cut.diverged, [['users', EU]]);
  deepStrictEqual(other.lost, []);
  for (const { sim } of [alone, other]) sim.close();
});
