/** An operator: moves partitions between shards while everybody else is at work, changes their mind, and ends what they began. */
import type { RandomStream } from 'cardume/testing/simulated/stream';
import type { Request, Transport } from '../transport.ts';
import { Client, type Ground } from './client.ts';

interface Shards {
  readonly shards: readonly {
    readonly service: string;
    readonly partitions: number;
    readonly replicas: readonly {
      readonly entries_behind: number | null;
      readonly building: boolean;
      readonly trouble: string | null;
    }[];
  }[];
  readonly reshard: {
    readonly phase: 'moving' | 'following' | 'returning' | 'dropping';
    readonly moves: readonly { readonly state: string; readonly held_ms: number | null }[];
  } | null;
}

interface Regions {
  readonly regions: readonly {
    readonly reachable: boolean;
    readonly lease: boolean;
    readonly follows: readonly {
      readonly partitions: number;
      readonly entries_behind: number;
      readonly behind_ms: number | null;
      readonly trouble: string | null;
    }[];
  }[];
}

const SWITCHOVER_PERCENT = 15;
const SERVICES = ['orders', 'users', 'products'] as const;
const SHARDS_MAX = 4;
const LOOK_MS = 300;

export class Operator {
  readonly client: Client;
  readonly #token: string;

  constructor(ground: Ground, transport: Transport, stream: RandomStream) {
    this.client = new Client('operator', ground, transport, stream);
    this.#token = ground.staffToken;
  }

  async live(): Promise<void> {
    const { client } = this;
    while (!client.ground.isOver()) {
      const region = client.one(client.ground.regions);
      const shards = await this.#look(region);
      if (shards !== null) await this.#act(region, shards);
      await client.think();
    }
  }

  /** Moves what is at home in a region to another, now and then. */
  async switchRegions(): Promise<void> {
    const { client } = this;
    while (!client.ground.isOver()) {
      await client.think();
      if (!client.chance(SWITCHOVER_PERCENT)) continue;
      const { regions, coverage } = client.ground;
      const from = client.one(regions);
      const to = client.one(regions.filter((region) => region !== from));
      const bornIn = client.chance(50) ? undefined : client.one(regions);
      const body = { to, ...(bornIn === undefined ? {} : { born_in: bornIn }) };
      const { reply } = await client.tell(
        'switch over',
        this.#request('POST', `${path(from)}/switchover`, body),
        [200, 409],
        true,
      );
      const moved = (reply?.body as { readonly partitions?: number } | undefined)?.partitions ?? 0;
      if (reply?.status === 200 && moved > 0) coverage.reached('partitions were switched over');
    }
  }

  /** Brings every reshard to its end. */
  async conclude(): Promise<void> {
    const { client } = this;
    for (const region of client.ground.regions) {
      for (;;) {
        const shards = await this.#look(region);
        if (shards !== null && shards.reshard === null) break;
        if (shards?.reshard?.phase === 'following') await this.#end(region);
        await client.ground.clock.sleep(LOOK_MS);
      }
    }
  }

  /** Waits until every replica has what its shard has. */
  async replicasFollow(): Promise<void> {
    const { client } = this;
    for (const region of client.ground.regions) {
      for (;;) {
        const replicas = (await this.#look(region))?.shards.flatMap((shard) => shard.replicas);
        if (replicas?.every((one) => one.entries_behind === 0 && !one.building && one.trouble === null))
          break;
        await client.ground.clock.sleep(LOOK_MS);
      }
    }
  }

  /** Waits until every region has what the others are home to. */
  async regionsFollow(): Promise<void> {
    const { client } = this;
    const { elapsedMs } = client.ground;
    const sinceMs = elapsedMs();
    for (;;) {
      // What was written before that is known to be there.
      const msMax = elapsedMs() - sinceMs;
      const { reply } = await client.tell(
        'look at regions',
        this.#request('GET', '/operators/regions'),
        [200],
        true,
      );
      const regions = (reply?.body as Regions | undefined)?.regions ?? [];
      const isInStep = ({ reachable, lease, follows }: Regions['regions'][number]): boolean =>
        reachable &&
        lease &&
        follows.every(
          ({ partitions, trouble, entries_behind: behind, behind_ms: ms }) =>
            partitions === 0 || (trouble === null && behind === 0 && ms !== null && ms < msMax),
        );
      if (regions.length > 0 && regions.every(isInStep)) return;
      await client.ground.clock.sleep(LOOK_MS);
    }
  }

  async #act(region: string, { shards, reshard }: Shards): Promise<void> {
    const { client } = this;
    const { coverage } = client.ground;
    if (reshard === null) {
      const service = client.one(SERVICES);
      const partitions = shards
        .filter((one) => one.service === service)
        .reduce((sum, one) => sum + one.partitions, 0);
      const to = 1 + client.stream.below(Math.min(SHARDS_MAX, partitions));
      await client.tell(
        'reshard',
        this.#request('POST', `${path(region)}/reshard`, { service, to }),
        [202, 409],
        true,
      );
      return;
    }
    const moved = reshard.moves.filter(({ state }) => state === 'moved');
    if (moved.length > 0) coverage.reached('a partition moved to another shard');
    if (moved.some(({ held_ms: heldMs }) => heldMs === null))
      coverage.reached('a reshard was carried over a restart');
    if (reshard.phase === 'following' && client.chance(50)) await this.#end(region);
    else if (reshard.phase === 'moving' && client.chance(10)) await this.#back(region);
  }

  async #end(region: string): Promise<void> {
    if (this.client.chance(50)) return this.#back(region);
    const finish = this.#request('POST', `${path(region)}/reshard/finish`);
    const { reply } = await this.client.tell('finish a reshard', finish, [202, 409], true);
    if (reply?.status === 202) this.client.ground.coverage.reached('a reshard was finished');
  }

  async #back(region: string): Promise<void> {
    const back = this.#request('POST', `${path(region)}/reshard/rollback`);
    const { reply } = await this.client.tell('roll a reshard back', back, [202, 409], true);
    if (reply?.status === 202) this.client.ground.coverage.reached('a reshard was rolled back');
  }

  async #look(region: string): Promise<Shards | null> {
    const { reply } = await this.client.tell(
      'look at shards',
      this.#request('GET', `${path(region)}/shards`),
      [200],
      true,
    );
    return (reply?.body as Shards | undefined) ?? null;
  }

  #request(method: 'GET' | 'POST', at: string, body?: unknown): Request {
    return { method, path: at, token: this.#token, ...(body === undefined ? {} : { body }) } as Request;
  }
}

const path = (region: string): string => `/operators/regions/${region}`;
