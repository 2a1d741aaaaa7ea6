/** Streams of a tail on their way to the home that their partition has now, with the keys that only their region may have. */
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import type { Json } from '../../base/json.ts';
import type { Shard } from '../../cqrs/shard.ts';
import type { ShardMoving } from '../../cqrs/shard-moving.ts';
import type { Residency } from '../../topology/residency.ts';
import type { RegionName, ServiceName } from '../../topology/topology.ts';
import { charsOf, PARCEL_CHARS_MAX, type Page, packPages, unpackPages } from '../replication/pages.ts';
import type { Came, QuarantineRequest } from './request.ts';
import type { StreamOfTail } from './tails.ts';

export interface ToHomeGround {
  readonly here: RegionName;
  readonly homeOf: (service: ServiceName, partition: number) => RegionName;
  readonly residency: Pick<Residency, 'holding' | 'sentence'>;
  /** The shard that is home to the partition; undefined: none is, here. */
  readonly homeShard: (service: ServiceName, partition: number) => Pick<Shard, 'resubmit'> | undefined;
  /** The shard that holds the partition. */
  readonly holder: (
    service: ServiceName,
    partition: number,
  ) => { readonly moving: Pick<ShardMoving, 'keysFor'> } | undefined;
  readonly ask: (region: RegionName, request: QuarantineRequest) => Promise<Json>;
}

export interface ToHome {
  /** @returns what became of each of the streams */
  send(service: ServiceName, partition: number, streams: readonly StreamOfTail[]): Promise<readonly Came[]>;
  /** At the home. */
  append(request: Extract<QuarantineRequest, { do: 'append' }>): Promise<readonly Came[]>;
}

const STREAMS_A_PART = 200;

export function toHome({ here, homeOf, residency, homeShard, holder, ask }: ToHomeGround): ToHome {
  /** Keys go with the entries: not to whom they may not go, and not without them, or the home would make others. */
  function unfit(service: ServiceName, partition: number, home: RegionName): Came | null {
    const isWhole = (region: RegionName): boolean =>
      residency.holding(service, partition, region) === 'whole';
    const sentence = (): string => residency.sentence(service, partition);
    if (!isWhole(here)) return { why: `${here} has no keys to go with it: ${sentence()}`, isOpen: false };
    if (isWhole(home)) return null;
    return { why: `its home now, ${home}, may not have its keys: ${sentence()}`, isOpen: true };
  }

  async function pack(service: ServiceName, partition: number, streams: readonly StreamOfTail[]) {
    const pages: Page[] = [];
    for (const { parted, entries: own } of streams) {
      const entries = own.map(({ entry }) => entry);
      const keys = (await holder(service, partition)?.moving.keysFor(entries)) ?? [];
      pages.push({ service, partition, homeEpoch: 0, entries: [parted, ...entries], keys });
    }
    return packPages(pages);
  }

  async function came({ service, partition, entries, keys }: Page): Promise<Came> {
    const [parted, ...own] = entries;
    const stream = own[0]?.stream;
    const shard = homeShard(service, partition);
    if (shard === undefined || parted === undefined || stream === undefined)
      return { why: `partition ${partition} of '${service}' is not at home in ${here}`, isOpen: true };
    try {
      const why = await shard.resubmit({ partition, stream, parted, entries: own, keys });
      return { why, isOpen: false };
    } catch (error) {
      if (!isCardumeError(error)) throw error;
      return { why: error.message, isOpen: true };
    }
  }

  const append: ToHome['append'] = ({ pages }) => Promise.all(unpackPages(pages).map(came));

  return {
    append,
    async send(service, partition, streams) {
      const home = homeOf(service, partition);
      const refused = unfit(service, partition, home);
      if (refused !== null) return streams.map(() => refused);
      try {
        const pages = await pack(service, partition, streams);
        const request = { do: 'append', service, pages } as const;
        if (home === here) return await append(request);
        const answer = await ask(home, request);
        if (!Array.isArray(answer))
          throw new CardumeError('partition-unavailable', 'its version does not know how');
        return answer as unknown as readonly Came[];
      } catch (error) {
        if (!isCardumeError(error)) throw error;
        const why = `their home, ${home}, did not say what became of them: ${error.message}`;
        return streams.map(() => ({ why, isOpen: true }));
      }
    },
  };
}

/** As many streams as go into one message, and one at least. */
export function firstPart(streams: readonly StreamOfTail[]): readonly StreamOfTail[] {
  let chars = 0;
  const end = streams.findIndex(({ entries }, i) => {
    chars += entries.reduce((sum, { entry }) => sum + charsOf(entry), 0);
    return i > 0 && (i === STREAMS_A_PART || chars > PARCEL_CHARS_MAX);
  });
  return end < 0 ? streams : streams.slice(0, end);
}
