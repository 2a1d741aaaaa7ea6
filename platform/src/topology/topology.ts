/**
 * The topology is the one place of configuration: which regions there are, how each service is cut into partitions
 * and shards, what an instance hosts, which engines serve, and every bound. `cardume.config.ts` exports one.
 */
import type { JsonObject } from '../base/json.ts';
import { parseTopology } from './validate.ts';

/**
 * Checks a topology written in TypeScript.
 * @throws CardumeError `invalid-input` that names every fault at its JSON pointer
 */
export function defineTopology(topology: Topology): Topology {
  return parseTopology(topology);
}

export interface Topology {
  readonly name: string;
  readonly regions: Readonly<Record<RegionName, RegionTopology>>;
  readonly services: Readonly<Record<ServiceName, ServiceTopology>>;
  readonly instances: InstanceTopology;
  readonly edge: EdgeTopology;
  readonly engines: Engines;
  /** Where regions agree on who is home to what. Absent: every partition stays where the topology puts it. */
  readonly coordinator?: CoordinatorTopology | undefined;
  /** Folder of all data, relative to the topology's file. */
  readonly data: string;
  readonly bounds: Bounds;
}

export interface EdgeTopology {
  readonly host: string;
  readonly port: number;
  /** A DNS server beside the proxy: tells clients the addresses of a region that is up. None when left out. */
  readonly dns?: DnsTopology | undefined;
}

/** docs/guides/edge.md says how each policy chooses. */
export interface DnsTopology {
  /** The edge's when left out. */
  readonly host?: string | undefined;
  /** Of UDP and TCP. */
  readonly port: number;
  /** The domain that the server has authority for, such as `cardume.test`. It is itself `ns.` and the zone. */
  readonly zone: string;
  /** What clients ask for, without the zone: `shop` for `shop.cardume.test`. The zone itself when left out. */
  readonly name?: string | undefined;
  readonly policy: 'latency' | 'failover' | 'weighted' | 'geo';
  /** How long a client may remember a region, seconds, 1 to 300; 5 when left out. */
  readonly ttlS?: number | undefined;
  /** For `failover`: every region, the preferred first. */
  readonly order?: readonly RegionName[] | undefined;
  /** For `weighted`: every region's share, 0 to 1,000. 0: only when no other is up. */
  readonly weights?: Readonly<Record<RegionName, number>> | undefined;
  /** For `geo`: networks of clients (`203.0.113.0/24`) → the name of a region, or a country (`BR`) of one. */
  readonly networks?: Readonly<Record<string, string>> | undefined;
  /** What clients are told of each region, IPv4 and IPv6; the region's `host` when left out, which is then an address. */
  readonly addresses?: Readonly<Record<RegionName, readonly string[]>> | undefined;
  /** Where the world reaches this server; `host` when left out. */
  readonly address?: string | undefined;
  /** Of a client's network (/24, /56) over each transport; 1,000 when left out. */
  readonly queriesPerS?: number | undefined;
}

export interface Engines {
  /** Of the event log and the read models: `sqlite`, `mysql`, or a name of `modules`. */
  readonly log: EngineName;
  /** Where, when it is `mysql`: MariaDB, MySQL, Aurora. */
  readonly mysql?: MysqlServer | undefined;
  /** Engines that are not of the house, by the name that shards are to have them by. */
  readonly modules?: Readonly<Record<EngineName, EngineModule>> | undefined;
}

export type EngineName = string;

export interface EngineModule {
  /** URL of a module that exports `engine` (cqrs/engine.ts): `import.meta.resolve('some-package')`. */
  readonly module: string;
  /** What the engine wants to know, such as where its servers are. No secrets: name their variables. */
  readonly options?: JsonObject | undefined;
}

export interface MysqlServer {
  /**
   * `mysql://USER@HOST:PORT/DATABASE`. Each shard has a database of its own: `{region}` and `{shard}` stand for the
   * names, in the host as well. A database that is missing is made, where the user may.
   */
  readonly address: string;
  /** Variable of the environment that holds the password. */
  readonly passwordVariable: string;
  /** Absent: the connection is not encrypted, which is for loopback alone. */
  readonly tls?: { readonly ca?: string | undefined } | undefined;
  /**
   * Addresses of servers that replicate this one, by their own means: reads that may be old go there. Same user, same
   * password.
   */
  readonly replicas?: readonly string[] | undefined;
}

export type CoordinatorTopology =
  /** One process that keeps a file: when its machine is lost, homes stay where they are. */
  | { readonly engine: 'embedded'; readonly host: string; readonly port: number }
  /** A cluster of three or five members, of etcd 3.4 or later. Its keys begin with `/cardume/NAME/`, of the topology's name. */
  | {
      readonly engine: 'etcd';
      /** Of its members, as clients reach them: `host:port`. */
      readonly endpoints: readonly string[];
      readonly user?: string | undefined;
      /** Variable of the environment that holds the user's password. */
      readonly passwordVariable?: string | undefined;
      /** Absent: the connections are not encrypted, which is for loopback alone. */
      readonly tls?: { readonly ca?: string | undefined } | undefined;
    };

export type RegionName = string;
export type ServiceName = string;

export interface RegionTopology {
  /** 1 to 31; stands in every id, so it never changes. */
  readonly code: number;
  readonly host: string;
  /** HTTP port of the region's instance. */
  readonly port: number;
  /** Port of the links between instances. */
  readonly peerPort: number;
  /** ISO 3166 country codes whose customers live here; exactly one region may list '*', for all others. */
  readonly countries: readonly string[];
}

export interface ServiceTopology {
  /** Partitions in each region: a power of two up to 1024, set once. */
  readonly partitions: number;
  /** Partitions of the global space (0: the service has none), a power of two; homes go round the regions. */
  readonly globalPartitions: number;
  /** Databases in each region that hold the service's partitions. */
  readonly shards: number;
  /** Of each shard in files: further files with its read models, for reads that may be old. 0 when left out. */
  readonly replicas?: number | undefined;
  /**
   * When an answer is given: `region` (the default): behind the disk of its home; `cross-region`: behind that of a second
   * region, so that it outlives the loss of the first. The global space is always `cross-region`. Needs a coordinator.
   */
  readonly durability?: 'region' | 'cross-region' | undefined;
  /**
   * With `durability: 'region'`: when the oldest entry that no other region has is older than this, its partition takes no
   * further writes until another region has caught up. Without it the home goes on alone. Needs a coordinator.
   */
  readonly rpoMsMax?: number | undefined;
  /**
   * By the region where partitions are born: which regions may hold them. Every region holds those that are not named, and
   * the global space.
   */
  readonly residency?: Readonly<Record<RegionName, ResidencyPolicy>> | undefined;
  /**
   * Streams that have ended move to compressed archives, when no answer among them is remembered any more. From the first
   * one on, programs that know no archives refuse the log: say it when there is no way back to them.
   */
  readonly archives?: boolean | undefined;
}

export interface ResidencyPolicy {
  /** They hold them whole, and may be home to them; the region of their birth is one of them. */
  readonly regions: readonly RegionName[];
  /**
   * What other regions hold: `nothing`, or `sealed`: entries whose personal fields cannot be read there, since keys of their
   * subjects are never sent there. Other fields stand in them as they are.
   */
  readonly elsewhere: 'nothing' | 'sealed';
}

export interface InstanceTopology {
  /** Services that each instance of a region hosts. */
  readonly services: readonly ServiceName[];
}

/** Every bound with its unit in its name. */
export interface Bounds {
  readonly batchEntriesMax: number;
  /** Entries that wait for a writer, per shard; beyond it commands get 503. */
  readonly queueEntriesMax: number;
  readonly writerThreadsMax: number;
  readonly readerThreadsMax: number;
  readonly readDeadlineMs: number;
  readonly aggregatesCachedMax: number;
  readonly snapshotEveryEvents: number;
  readonly processesOpenMax: number;
  readonly bodyBytesMax: number;
  readonly requestTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly peerTimeoutMs: number;
  readonly peerRequestsMax: number;
  readonly passwordQueueMax: number;
  readonly tokensCachedMax: number;
  readonly idempotencyDays: number;
  /** A segment of an archive is made of so many entries of a partition; 10,000 when left out. */
  readonly segmentEntries?: number | undefined;
  readonly requestsPerMinute: number;
  readonly subscribersMax: number;
}
