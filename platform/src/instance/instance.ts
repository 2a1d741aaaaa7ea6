/**
 * An instance: one process of one region. It carries the gateway and hosts the services that the topology gives it;
 * on one machine that is all of them.
 */
import { CardumeError, isCardumeError } from '../base/errors.ts';
import type { Place } from '../base/id.ts';
import type { Json } from '../base/json.ts';
import { openFeeder } from '../cqrs/feeder.ts';
import { openReaders } from '../cqrs/readers.ts';
import { openShard, type Shard } from '../cqrs/shard.ts';
import { engineIn } from '../events/engines.ts';
import { firstEpochOf } from '../events/epoch.ts';
import { openWriterPool } from '../events/events.ts';
import type { Call, PlainReply } from '../gateway/call.ts';
import { openGateway } from '../gateway/gateway.ts';
import type { OpenServer } from '../gateway/http.ts';
import type { Host } from '../host/host.ts';
import { openIdentity } from '../identity/identity.ts';
import { openPeers } from '../links/peer.ts';
import { geography } from '../sharding/geography.ts';
import {
  copiesIn,
  guestsIn,
  homesIn,
  initialMap,
  remainsIn,
  type ShardMap,
  type ShardOfMap,
  withGuests,
  withServices,
} from '../sharding/shard-map.ts';
import { openTelemetry } from '../telemetry/telemetry.ts';
import { engineNames, HOUSE_ENGINES } from '../topology/engines.ts';
import { partitionKey, placeOfKey } from '../topology/partition.ts';
import { staticPlacement } from '../topology/placement.ts';
import type { RegionName, RegionTopology, Topology } from '../topology/topology.ts';
import type { Application } from './application.ts';
import { openAtHome } from './at-home.ts';

import { areFreshIn, openBus } from './bus.ts';
import { guestsAsAllowed } from './guests.ts';

import { hostedShards, tableIndex } from './hosted.ts';
import { openMapStore } from './map-store.ts';
import { asJson, type Message } from './message.ts';
import { operatorOperations, RESHARDER, type Resharder } from './operator-api.ts';
import { quarantineOperations } from './quarantine-api.ts';
import { openReceiver } from './receiver.ts';
import {
  ALWAYS_HOME,
  addressOfPeer,
  homesBy,
  homesMoveIn,
  measureRegions,
  openRegional,
} from './regional.ts';
import { REGIONS, type RegionsPort, regionsOperations } from './regions-api.ts';
import { openResharding } from './resharding.ts';
import { placeOf } from './storage.ts';

export interface InstanceOptions {
  readonly host: Host;
  readonly topology: Topology;
  readonly application: Application;
  readonly region: RegionName;
  /** Absolute; the region's files stand in a folder of its name. */
  readonly dataFolder: string;
  readonly secrets: Secrets;
  /** What clients are served by; an HTTP server when left out. */
  readonly openServer?: OpenServer;
}

/** The same for all instances of a cluster. */
export interface Secrets {
  readonly tokenKey: { readonly privatePem: string; readonly publicPem: string };
  /** 32 bytes: wraps the keys of subjects. */
  readonly masterKey: Uint8Array;
  /** 32 bytes: instances prove to each other that they belong together. */
  readonly clusterSecret: Uint8Array;
}

export interface Instance {
  readonly address: { readonly host: string; readonly port: number };
  /** Stops taking requests, finishes those under way, closes every file. Bounded by the topology's `drainTimeoutMs`. */
  drain(): Promise<void>;
}

/** @throws CardumeError `storage-failed` with one clear sentence when a file is damaged or in use */
export async function startInstance(options: InstanceOptions): Promise<Instance> {
  const { host, topology, application, region, secrets } = options;
  const { bounds } = topology;
  const here = regionOf(topology, region);
  const telemetry = openTelemetry(host, region);
  const { log, metrics } = telemetry;
  const services = application.services
    .map(({ service }) => service)
    .filter(({ name }) => topology.instances.services.includes(name));
  const serviceNames = services.map(({ name }) => name);
  const hosted = hostedShards(host.clock);
  const homesMove = homesMoveIn(topology);
  const pool = openWriterPool(host, { threadsMax: bounds.writerThreadsMax, leased: homesMove });
  const readers = openReaders(host, {
    threadsMax: bounds.readerThreadsMax,
    deadlineMs: bounds.readDeadlineMs,
  });
  const feeder = openFeeder(host);
  const identity = openIdentity(host, {
    key: secrets.tokenKey,
    issuer: topology.name,
    tokensCachedMax: bounds.tokensCachedMax,
    passwordQueueMax: bounds.passwordQueueMax,
  });
  const report = (message: string, fields: Readonly<Record<string, unknown>>): void =>
    log.error(message, fields);
  const peers = openPeers(host, {
    self: region,
    secret: secrets.clusterSecret,
    addressOf(name) {
      const address = addressOfPeer(topology, name);
      if (address === null) throw new CardumeError('invalid-input', `there is no peer '${name}'`);
      return address;
    },
    timeoutMs: bounds.peerTimeoutMs,
    requestsMax: bounds.peerRequestsMax,
    report: (error) => log.error('a link between instances failed', { error }),
    serve: (from, message, signal) => receive(from, message as unknown as Message, signal),
  });
  const regions = openRegional({
    host,
    topology,
    region,
    services: serviceNames,
    hosted,
    isResharded: (service, partition) => resharding.concerns(service, partition),
    check: () => store.check(),
    peers,
    onUntil: pool.lease,
    report,
  });
  const initialPlacement = staticPlacement(topology);
  const placement = regions?.homes ?? initialPlacement;
  const atHome = openAtHome({ clock: host.clock, here: region, placement, hosted, homesMove });
  const map = geography(topology, region, placement);
  const regionsPort: RegionsPort = {
    regions: Object.keys(topology.regions),
    async ask(name, request) {
      if (regions === null)
        throw new CardumeError('conflict', 'the topology has no coordinator: homes never move');
      if (name === region) return regions.handle(region, request);
      return peers.request(name, asJson({ kind: 'regions', request }));
    },
  };
  const resharder: Resharder = {
    regions: Object.keys(topology.regions),
    async ask(name, request) {
      if (name === region) return resharding.handle(request);
      const isOthers = request.ask === 'begin' && !HOUSE_ENGINES.includes(request.wish.engine ?? 'sqlite');
      const kind = isOthers ? 'resharding-2' : 'resharding';
      return peers.request(name, asJson({ kind, request })) as Promise<unknown> as Promise<never>;
    },
  };
  const ports = {
    ...application.ports({ host, region, identity, geography: map, bounds: topology.bounds }),
    [RESHARDER]: resharder,
    [REGIONS]: regionsPort,
  };
  const bus = openBus({
    clock: host.clock,
    here: region,
    regions: Object.keys(topology.regions),
    placement,
    atHome,
    hosted,
    copies: regions,
    tables: tableIndex(application.services.map(({ service }) => service)),
    peers,
    readDeadlineMs: bounds.readDeadlineMs,
  });
  let ready = false;

  const gateway = await openGateway({
    host,
    bounds,
    title: application.title,
    version: application.version,
    services: [
      ...application.services.map(({ service, operations }) => ({ name: service.name, operations })),
      {
        name: 'operators',
        operations: [...operatorOperations, ...regionsOperations, ...quarantineOperations],
      },
    ],
    geography: map,
    bus,
    ports,
    tokens: identity.tokens,
    secret: secrets.clusterSecret,
    log,
    metrics,
    hostedHere: (service, place, freshness) =>
      hosted.hosts(service, place) || areFreshIn(regions, service, [partitionKey(place)], freshness),
    forward: (service: string, place: Place, call: Call): Promise<PlainReply> =>
      atHome.ask(
        service,
        place,
        call.key !== null,
        () => gateway.execute(call),
        (home) =>
          peers.request(home, asJson({ kind: 'call', call })) as Promise<unknown> as Promise<PlainReply>,
      ),
    openServer: options.openServer,
    mayWrite: () => regions === null || regions.status().isHeld,
    async unready() {
      if (!ready) return ['the instance is starting'];
      const counts = await Promise.all(hosted.all().map((shard) => shard.fenced())).catch(
        (error: unknown) => {
          if (!isCardumeError(error)) throw error;
          return error.message;
        },
      );
      if (typeof counts === 'string') return [`whose the partitions are is not known: ${counts}`];
      const fenced = counts.reduce((sum, count) => sum + count, 0);
      return fenced === 0 ? [] : [`another host has taken over ${fenced} partitions`];
    },
  });
  for (const { module } of Object.values(topology.engines.modules ?? {})) await engineIn(host, module);
  const store = await openMapStore(host, `${options.dataFolder}/${region}`);
  const initial = initialMap(initialPlacement, region, serviceNames, topology.engines.log);
  const stored = store.begin(initial);
  const others = Object.keys(topology.regions).filter((name) => name !== region);
  const known = withServices(stored, initial);
  const shardMap = regions === null ? known : withGuests(known, initialPlacement, others, serviceNames);
  if (shardMap !== stored) store.save(shardMap);

  await regions?.join();

  async function open(shardOfMap: ShardOfMap, now: ShardMap): Promise<void> {
    const { service: name, name: shardName } = shardOfMap;
    const service = services.find((one) => one.name === name);
    if (service === undefined) return;
    const held = [...homesIn(now, name, shardName), ...(homesMove ? guestsIn(now, name, shardName) : [])];
    const { partitions, yielded, floors } = rolesOf(name, held);
    const copies = copiesIn(now, shardName);
    const shard = await openShard({
      host,
      service,
      place: await placeOf(host, topology, options.dataFolder, region, shardOfMap),
      partitions,
      yielded,
      floors,
      copies,
      isMapNew: now.version === 0,
      isArchived: topology.services[name]?.archives ?? false,
      pool,
      readers,
      feeder,
      ...(regions === null ? {} : { across: regions.across(name), mayServe: regions.check }),
      bounds,
      masterKey: secrets.masterKey,
      bus,
      ports,
      report,
    });
    hosted.add(name, shardName, shard);
    for (const partition of partitions) hosted.route(name, partition, shardName);
    for (const partition of yielded) hosted.placeCopy(name, partition, shardName);
    regions?.add(name, shard);
    for (const partition of remainsIn(now, shardName)) hosted.setCopy(shardName, partition, true);
  }

  /** What is held here by who is home to it now. */
  function rolesOf(service: string, held: readonly number[]) {
    const homeOf = (key: number) => regions?.homes.find({ service, ...placeOfKey(key) });
    const partitions = held.filter((key) => (homeOf(key)?.region ?? region) === region);
    return {
      partitions,
      yielded: held.filter((key) => !partitions.includes(key)),
      floors: new Map(partitions.map((key) => [key, firstEpochOf(homeOf(key)?.term ?? 0)])),
    };
  }

  for (const shard of shardMap.shards) {
    // What is home to nothing can wait: a reshard opens it when it goes on.
    const holdsSome = [homesIn, guestsIn].some(
      (find) => find(shardMap, shard.service, shard.name).length > 0,
    );
    if (holdsSome) await open(shard, shardMap);
  }
  const heldMap =
    regions === null
      ? shardMap
      : await guestsAsAllowed({ topology, here: region, hosted, save: store.save, report }, shardMap);

  const resharding = openResharding({
    host,
    map: heldMap,
    engines: engineNames(topology.engines),
    hosted,
    homes: regions === null ? ALWAYS_HOME : homesBy(regions),
    check: store.check,
    save: store.save,
    settle: store.settle,
    async open(shard, now) {
      await open(shard, now);
      const opened = hosted.named(shard.service, shard.name);
      await opened?.recover();
      opened?.begin();
    },
    report,
  });
  const receive = openReceiver({
    clock: host.clock,
    hosted,
    staticHomes: (service, name) => resharding.staticHomes(service, name),
    resharding: (request) => resharding.handle(request) as Promise<unknown> as Promise<Json>,
    regions,
    readDeadlineMs: bounds.readDeadlineMs,
    execute: gateway.execute,
  });
  await Promise.all(hosted.all().map((shard: Shard) => shard.recover()));
  await peers.listen({ host: here.host, port: here.peerPort });
  const address = await gateway.listen({ host: here.host, port: here.port });
  for (const shard of hosted.all()) shard.begin();
  regions?.begin();
  resharding.begin();
  ready = true;
  if (regions !== null) measureRegions(metrics, regions);
  metrics.gauge('processes_open', 'Process instances that have not ended', () =>
    hosted.all().reduce((sum, shard) => sum + shard.processesOpen(), 0),
  );
  log.info('ready', { address: `http://${address.host}:${address.port}` });

  return {
    address,
    async drain() {
      ready = false;
      const moved = resharding.close();
      await gateway.drain();
      await Promise.race([moved, host.clock.sleep(bounds.drainTimeoutMs)]);
      await regions?.close();
      await peers.close();
      await readers.close();
      await feeder.close();
      await Promise.all(hosted.all().map((shard) => shard.close()));
      await pool.close();
      store.close();
      log.info('stopped');
    },
  };
}

function regionOf(topology: Topology, name: RegionName): RegionTopology {
  const region = topology.regions[name];
  if (region === undefined) {
    throw new CardumeError(
      'invalid-input',
      `no region '${name}'; there are ${Object.keys(topology.regions).join(', ')}`,
    );
  }
  return region;
}
