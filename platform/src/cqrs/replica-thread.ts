/**
 * Folds shards' logs into files of their own, which are the shards' replicas: on one thread for all of them, away from
 * the threads that write, a page of one and then of another. A request says all that it takes, so whatever fails is simply
 * opened again; a damaged file is begun anew.
 */
import { CardumeError } from '../base/errors.ts';
import { openBesideLog } from '../events/beside.ts';
import { sameChecksum } from '../events/checksum.ts';
import type { Entry, Head } from '../events/log.ts';
import type { TailSource } from '../events/tail.ts';
import { isDamaged } from '../host/disk.ts';
import type { Host } from '../host/host.ts';
import type { Port } from '../host/threads.ts';
import { logPlaceOf } from './engines.ts';
import { openProjector, type Projector } from './projector.ts';
import type { Standing } from './replica.ts';
import type { Service } from './service.ts';
import { checkHost, claimFeeding } from './sqlite/feeding.ts';
import { openReadModels } from './sqlite/read-models.ts';
import type { ReadModels } from './storage.ts';
import { upcastersOf } from './upcasting.ts';

export type FeederRequest =
  | {
      readonly kind: 'feed';
      readonly id: number;
      /** Module that exports `service`. */
      readonly module: string;
      /** The shard's files. */
      readonly base: string;
      /** The replica's file. */
      readonly path: string;
      /** Of the partitions that are at home in the shard; what stands behind them is another time's. */
      readonly heads: readonly Head[];
    }
  | { readonly kind: 'close'; readonly id: number; readonly path: string };

type FeedRequest = Extract<FeederRequest, { readonly kind: 'feed' }>;

export type FeederReply =
  /** Null: it is closed. */
  | { readonly id: number; readonly standing: Standing | null }
  | { readonly id: number; readonly code: string; readonly detail: string };

interface Fed {
  /** Takes what is committed. */
  feed(heads: readonly Head[]): Promise<Standing>;
  close(): Promise<void>;
}

/** Of what is being built, in one feed. */
const BUILD_PAGES = 8;

export function serve(host: Host, port: Port): void {
  const open = new Map<string, Promise<Fed>>();

  async function close(path: string): Promise<void> {
    const opened = open.get(path);
    open.delete(path);
    await opened?.then(
      (fed) => fed.close(),
      () => undefined, // it never stood
    );
  }

  async function feed(request: FeedRequest): Promise<Standing> {
    const { path, heads } = request;
    const opened = open.get(path) ?? openFed(host, request);
    open.set(path, opened);
    try {
      return await (await opened).feed(heads);
    } catch (error) {
      await close(path);
      if (isDamaged(error)) for (const end of ['', '-wal', '-shm']) await host.disk.remove(`${path}${end}`);
      throw error;
    }
  }

  port.onMessage((request: FeederRequest) => {
    const { id } = request;
    const done: Promise<Standing | null> =
      request.kind === 'feed' ? feed(request) : close(request.path).then(() => null);
    done.then(
      (standing) => port.post({ id, standing } satisfies FeederReply),
      (error: Error) => {
        const code = error instanceof CardumeError ? error.code : 'internal';
        port.post({ id, code, detail: error.message } satisfies FeederReply);
      },
    );
  });
}

async function openFed(host: Host, { module, base, path, heads: first }: FeedRequest): Promise<Fed> {
  const { service } = (await host.threads.load(module)) as unknown as { service: Service };
  const log = await openBesideLog(host, logPlaceOf({ base }));
  let heads = first;
  let isClosed = false;

  /** Up to the heads, and not all at once: others are fed in between. */
  async function read(partition: number, afterPosition: number, entriesMax: number): Promise<Entry[]> {
    await host.clock.sleep(0);
    if (isClosed) throw new CardumeError('draining', 'the replica is closed');
    const left = (heads.find((one) => one.partition === partition)?.position ?? 0) - afterPosition;
    if (left <= 0) return [];
    const entries = await log.read(partition, afterPosition, Math.min(entriesMax, left));
    if (entries.length > 0 && entries[0]?.position !== afterPosition + 1)
      throw new CardumeError('storage-failed', `the log lacks entry ${afterPosition + 1} of ${partition}`);
    return entries;
  }

  const source: TailSource = { heads: () => [...heads], read };
  try {
    checkHost(first, log.heads());
    const readModels = await openReadModels(
      host,
      path,
      service.projections,
      source,
      'own',
      claimFeeding(host, path),
    );
    const projector = openProjector(readModels, service.projections, upcastersOf(service.aggregates), source);
    return {
      async feed(now) {
        const before = heads;
        heads = now;
        await dropOthers(readModels, heads);
        await dropCut(readModels, before, heads, read);
        await projector.catchUp();
        const isBehind = (): boolean => projector.building().length > 0 || projector.refolding().length > 0;
        for (let page = 0; page < BUILD_PAGES && isBehind(); page += 1) await projector.build();
        return standingOf(readModels, projector, heads);
      },
      async close() {
        isClosed = true;
        readModels.close();
        await log.close();
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

/** A partition that was away since the last time, and came back, may have lost entries that were folded then. */
async function dropCut(
  { drop }: ReadModels,
  before: readonly Head[],
  now: readonly Head[],
  read: TailSource['read'],
): Promise<void> {
  for (const { partition, epoch } of now) {
    const last = before.find((one) => one.partition === partition);
    if (last === undefined || last.epoch === epoch || last.position === 0) continue;
    const [entry] = await read(partition, last.position - 1, 1);
    if (entry !== undefined && sameChecksum(entry.checksum, last.checksum)) continue;
    await drop(partition, Number.MAX_SAFE_INTEGER);
  }
}

/** What has moved away; each partition at once, since nobody would know of a part that was left. */
async function dropOthers({ checkpoints, drop }: ReadModels, heads: readonly Head[]): Promise<void> {
  const own = new Set(heads.map(({ partition }) => partition));
  for (const partition of checkpoints.partitions())
    if (!own.has(partition)) await drop(partition, Number.MAX_SAFE_INTEGER);
}

function standingOf(
  { builds, checkpoints }: ReadModels,
  projector: Projector,
  heads: readonly Head[],
): Standing {
  const names = builds.map(({ name }) => name);
  return {
    positions: new Map(heads.map(({ partition }) => [partition, checkpoints.position('', partition)])),
    builds: new Set(names.filter((name) => !checkpoints.isApart(name))),
    isBuilding: projector.building().length > 0 || projector.refolding().length > 0,
    halts: projector.halts().map(({ projection, reason }) => `${projection}: ${reason}`),
  };
}
