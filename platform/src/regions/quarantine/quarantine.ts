/**
 * What becomes of entries that were cut off copies: they are listed, discarded, or submitted again, which appends them at
 * the home that their partition has now (docs/decisions/0022-quarantine.md). The quarantine stands in the region that came
 * back. What was decided is written there when it is known that it came about, and stands for good; asked for again,
 * nothing is appended twice.
 */
import { CardumeError } from '../../base/errors.ts';
import type { Json } from '../../base/json.ts';
import { type Decision, type Quarantined, SETTLED_MAX } from '../../events/quarantine.ts';
import { decodeToken, encodeToken } from '../../events/token.ts';
import type { Cryptography } from '../../host/cryptography.ts';
import type { ServiceName } from '../../topology/topology.ts';
import { openCount } from './count.ts';
import { type Cursor, decodeCursor, encodeCursor } from './cursor.ts';
import type {
  QuarantineDecided,
  QuarantineItem,
  QuarantineLeft,
  QuarantineList,
  QuarantineRequest,
  QuarantineScope,
  QuarantineState,
} from './request.ts';
import {
  beginningOf,
  byShelf,
  findOn,
  isOf,
  pagesOf,
  type QuarantineShard,
  type Shelf,
  shelvesIn,
} from './shelf.ts';
import { type StreamOfTail, streamsIn, type TailMark } from './tails.ts';
import { firstPart, type ToHomeGround, toHome } from './to-home.ts';

export interface QuarantineGround extends ToHomeGround {
  readonly crypto: Pick<Cryptography, 'sha256'>;
  readonly services: readonly ServiceName[];
  /** All that are open here, by name. */
  readonly shardsOf: (service: ServiceName) => ReadonlyMap<string, QuarantineShard>;
}

export interface Quarantines {
  /** @throws CardumeError `not-found`, `invalid-cursor` */
  handle(request: QuarantineRequest): Promise<Json>;
  /** Counts what waits for a decision: at the start, and when something was cut off a copy of the service. */
  count(service?: ServiceName): void;
  /** Entries that wait for a decision, as they were counted. */
  undecided(): number;
}

/** Looked at for one answer, when hardly any is what was asked for. */
const LOOKED_AT_MAX = 20_000;
/** What a stream has in so many entries is submitted together. */
const TOGETHER_ENTRIES_MAX = 10_000;
const DATA_CHARS_MAX = 4_000;

type Found = readonly [Shelf, Quarantined];
type Resubmitted = Omit<QuarantineDecided, 'next'>;

export function openQuarantines(ground: QuarantineGround): Quarantines {
  const { crypto, here, services, shardsOf } = ground;
  const home = toHome(ground);
  const counted = openCount();

  function shelves(service: ServiceName | null, from: Cursor | null): Shelf[] {
    return shelvesIn(service === null ? services : services.filter((one) => one === service), shardsOf, from);
  }

  async function gather(
    of: QuarantineScope,
    state: QuarantineState,
    after: string | null,
    entriesMax: number,
  ): Promise<{ readonly found: readonly Found[]; readonly next: string | null }> {
    const from = after === null ? null : decodeCursor(after);
    const found: Found[] = [];
    let lookedAt = 0;
    for (const shelf of shelves(of.service, from)) {
      for await (const page of pagesOf(shelf, of.partition, isOf(shelf, from) ? from.token : null)) {
        for (const one of page) {
          lookedAt += 1;
          if (state === 'all' || (one.settled !== null) === (state === 'decided')) found.push([shelf, one]);
          if (found.length < entriesMax && lookedAt < LOOKED_AT_MAX) continue;
          const { service, name } = shelf;
          return { found, next: encodeCursor({ service, name, token: one.id }) };
        }
      }
    }
    return { found, next: null };
  }

  async function list(asked: Extract<QuarantineRequest, { do: 'list' }>): Promise<QuarantineList> {
    const { found, next } = await gather(asked.of, asked.state, asked.after, asked.entriesMax);
    return { items: found.map(itemOf), next };
  }

  async function decide(asked: Extract<QuarantineRequest, { do: 'decide' }>): Promise<QuarantineDecided> {
    const { decision, what } = asked;
    const isDiscarded = decision.decided === 'discarded';
    if ('ids' in what) {
      const found = (await named(what.ids)).filter(([, { settled }]) => settled === null);
      const done = isDiscarded ? await discard(found, decision) : await resubmitNamed(found, decision);
      return { ...done, next: null };
    }
    if (!isDiscarded) return resubmitAll(what.of, what.after, decision);
    const { found, next } = await gather(what.of, 'undecided', what.after, SETTLED_MAX);
    return { ...(await discard(found, decision)), next };
  }

  /** @throws CardumeError `not-found` */
  async function named(ids: readonly string[]): Promise<Found[]> {
    const found: Found[] = [];
    for (const id of ids) {
      const [service = '', token = ''] = id.split('/');
      const before = found.length;
      for (const shelf of shelves(service, null)) {
        const one = await findOn(shelf, token);
        if (one !== undefined) found.push([shelf, one]);
      }
      if (found.length === before)
        throw new CardumeError('not-found', `there is no '${id.slice(0, 100)}' in the quarantine of ${here}`);
    }
    return found;
  }

  async function settle(shelf: Shelf, entries: readonly Quarantined[], decision: Decision): Promise<number> {
    let settled = 0;
    for (let i = 0; i < entries.length; i += SETTLED_MAX) {
      const ids = entries.slice(i, i + SETTLED_MAX).map(({ id }) => id);
      settled += await shelf.shard.log.quarantine.settle(ids, decision);
    }
    counted.settled(shelf, settled);
    return settled;
  }

  async function discard(found: readonly Found[], decision: Decision): Promise<Resubmitted> {
    let entries = 0;
    for (const [shelf, own] of byShelf(found)) entries += await settle(shelf, own, decision);
    return { entries, left: [] };
  }

  async function resubmitNamed(found: readonly Found[], decision: Decision): Promise<Resubmitted> {
    let entries = 0;
    const left: QuarantineLeft[] = [];
    for (const [shelf, all] of byShelf(found)) {
      for (const [partition, own] of Map.groupBy(all, ({ entry }) => entry.partition)) {
        const wanted = new Set(own.map(({ id }) => id));
        let mark: TailMark | null = null;
        do {
          const looked: Together = await together(shelf, partition, mark);
          const streams = looked.streams.map((one) => {
            return { ...one, entries: one.entries.filter(({ id }) => wanted.has(id)) };
          });
          const due = streams.filter((one) => one.entries.length > 0);
          const done = await resubmit(shelf, partition, due, decision);
          entries += done.entries;
          left.push(...done.left);
          mark = looked.mark;
        } while (mark !== null);
      }
    }
    return { entries, left };
  }

  /** Some streams of one partition. */
  async function resubmitAll(
    of: QuarantineScope,
    after: string | null,
    decision: Decision,
  ): Promise<QuarantineDecided> {
    const from = after === null ? null : decodeCursor(after);
    for (const shelf of shelves(of.service, from)) {
      const { service, name } = shelf;
      const own = isOf(shelf, from) ? from : { service, name, token: beginningOf(of.partition) };
      const mark = await markAt(shelf, own);
      const [first] = await shelf.shard.log.quarantine.list(own.token, 1);
      const partition = mark?.last.partition ?? first?.entry.partition;
      if (partition === undefined || (of.partition ?? partition) !== partition) continue;
      const looked = await together(shelf, partition, mark);
      const { stream } = own;
      const due = looked.streams.filter((one) => stream === undefined || isBehind(firstOf(one).id, stream));
      const part = firstPart(due);
      const next =
        part.length < due.length
          ? { ...own, stream: firstOf(part.at(-1) as StreamOfTail).id }
          : looked.mark === null
            ? { service, name, token: beginningOf(partition + 1) }
            : {
                service,
                name,
                token: encodeToken(looked.mark.last),
                parted: encodeToken(looked.mark.parted),
              };
      return { ...(await resubmit(shelf, partition, part, decision)), next: encodeCursor(next) };
    }
    return { entries: 0, left: [], next: null };
  }

  /** Null: no tail is being read. */
  async function markAt(shelf: Shelf, { token, parted }: Cursor): Promise<TailMark | null> {
    if (parted === undefined || token === null) return null;
    const [last, first] = [await findOn(shelf, token), await findOn(shelf, parted)];
    return last === undefined || first === undefined ? null : { last: last.entry, parted: first.entry };
  }

  /** What a partition has behind the mark, as far as it is looked at together. */
  async function together(shelf: Shelf, partition: number, from: TailMark | null): Promise<Together> {
    const page: Quarantined[] = [];
    for await (const some of pagesOf(shelf, partition, from === null ? null : encodeToken(from.last))) {
      page.push(...some);
      if (page.length >= TOGETHER_ENTRIES_MAX) break;
    }
    const { streams, mark } = streamsIn(crypto, page, from);
    return { streams, mark: page.length < TOGETHER_ENTRIES_MAX ? null : mark };
  }

  async function resubmit(
    shelf: Shelf,
    partition: number,
    streams: readonly StreamOfTail[],
    decision: Decision,
  ): Promise<Resubmitted> {
    if (streams.length === 0) return { entries: 0, left: [] };
    const { service } = shelf;
    const came = await home.send(service, partition, streams);
    const stand = streams.filter((_, i) => came[i]?.why === null).flatMap(({ entries }) => entries);
    const left = streams.flatMap(({ stream, entries }, i): QuarantineLeft[] => {
      const { why = null, isOpen = true } = came[i] ?? {};
      return why === null ? [] : [{ ids: entries.map(({ id }) => `${service}/${id}`), stream, why, isOpen }];
    });
    return { entries: await settle(shelf, stand, decision), left };
  }

  return {
    async handle(request) {
      switch (request.do) {
        case 'list':
          return (await list(request)) as unknown as Json;
        case 'decide':
          return (await decide(request)) as unknown as Json;
        case 'append':
          return (await home.append(request)) as unknown as Json;
      }
    },
    count: (service = undefined) => counted.begin(shelves(service ?? null, null)),
    undecided: counted.sum,
  };
}

interface Together {
  readonly streams: readonly StreamOfTail[];
  /** Null: nothing is behind. */
  readonly mark: TailMark | null;
}

function itemOf([{ service, shard }, { id, entry, cutMs, settled }]: Found): QuarantineItem {
  const { partition, epoch, position, stream, version, type, atMs, key } = entry;
  const data = entry.data.length > DATA_CHARS_MAX ? null : shard.shown(entry);
  const of = { service, partition, epoch, position, stream, version, type, atMs, key };
  return { id: `${service}/${id}`, ...of, data, cutMs, settled };
}

const firstOf = ({ entries }: StreamOfTail): Quarantined => entries[0] as Quarantined;

/** Both are of one partition. */
function isBehind(id: string, other: string): boolean {
  const [a, b] = [decodeToken(id), decodeToken(other)];
  return a.epoch === b.epoch ? a.position > b.position : a.epoch > b.epoch;
}
