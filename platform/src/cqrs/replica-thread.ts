/**
 * Folds shards' logs into files of their own, which are the shards' replicas: on one thread for all of them, away from
 * the threads that write. A request says all that it takes, so whatever fails is simply opened again.
 */
import { driverOf } from '../events/engines.ts';
import type { Head } from '../events/log.ts';
import type { TailSource } from '../events/tail.ts';
import type { Host } from '../host/host.ts';
import type { Port } from '../host/threads.ts';
import { logPlaceOf } from './engines.ts';
import { openProjector } from './projector.ts';
import type { Standing } from './replica.ts';
import type { Service } from './service.ts';
import { openReadModels } from './sqlite/read-models.ts';
import type { ReadModels } from './storage.ts';
import { upcastersOf } from './upcasting.ts';

export interface FeedRequest {
  readonly id: number;
  /** Module that exports `service`. */
  readonly module: string;
  /** The shard's files. */
  readonly base: string;
  /** The replica's file. */
  readonly path: string;
  /** Of the partitions that are at home in the shard. */
  readonly heads: readonly Head[];
}

export type FeedReply =
  | { readonly id: number; readonly standing: Standing }
  | { readonly id: number; readonly error: string };

interface Fed {
  /** Takes what is committed. */
  feed(heads: readonly Head[]): Promise<Standing>;
  close(): Promise<void>;
}

/** Of what is being built: others are fed in between. */
const BUILD_PAGES = 8;

export function serve(host: Host, port: Port): void {
  const open = new Map<string, Promise<Fed>>();

  async function feed(request: FeedRequest): Promise<Standing> {
    const { path, heads } = request;
    const opened = open.get(path) ?? openFed(host, request);
    open.set(path, opened);
    try {
      return await (await opened).feed(heads);
    } catch (error) {
      open.delete(path);
      await opened.then((fed) => fed.close()).catch(() => undefined); // it has failed already
      throw error;
    }
  }

  port.onMessage((request: FeedRequest) => {
    const { id } = request;
    feed(request).then(
      (standing) => port.post({ id, standing } satisfies FeedReply),
      (error: Error) => port.post({ id, error: error.message } satisfies FeedReply),
    );
  });
}

async function openFed(host: Host, { module, base, path, heads: first }: FeedRequest): Promise<Fed> {
  const { service } = (await host.threads.load(module)) as unknown as { service: Service };
  const place = logPlaceOf({ base });
  const log = await driverOf(place).openReader(host, place);
  let heads = first;
  const source: TailSource = { heads: () => [...heads], read: log.readPartition };
  try {
    const readModels = await openReadModels(host, path, service.projections, source);
    const projector = openProjector(readModels, service.projections, upcastersOf(service.aggregates), source);
    return {
      async feed(now) {
        heads = now;
        await dropOthers(readModels, heads);
        await projector.catchUp();
        for (let page = 0; page < BUILD_PAGES && projector.building().length > 0; page += 1)
          await projector.build();
        return { ...standingOf(readModels, heads), isBuilding: projector.building().length > 0 };
      },
      async close() {
        readModels.close();
        await log.close();
      },
    };
  } catch (error) {
    await log.close();
    throw error;
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
  heads: readonly Head[],
): Omit<Standing, 'isBuilding'> {
  const names = builds.map(({ name }) => name);
  return {
    positions: new Map(heads.map(({ partition }) => [partition, checkpoints.position('', partition)])),
    builds: new Set(names.filter((name) => !checkpoints.isApart(name))),
  };
}
