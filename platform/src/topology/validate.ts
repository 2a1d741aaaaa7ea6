/**
 * Checks a topology before anything is started from it. All faults are found at once, each at its JSON pointer:
 * first the shape (types, ranges, unknown fields), then the rules that span fields. The second kind runs also where
 * the shape is faulty elsewhere, so it reads the value as it came and looks only at what has the right type.
 */
import { isDeepStrictEqual } from 'node:util';
import { type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { Settings } from 'typebox/system';
import { CardumeError, type Fault } from '../base/errors.ts';
import { PARTITIONS_MAX, SCOPE_MAX } from '../base/id.ts';
import { dnsRules } from './dns-rules.ts';
import { durabilityRules } from './durability-rules.ts';
import { COORDINATOR_PEER, HOUSE_ENGINES } from './engines.ts';
import { type Add, didYouMean, escaped, HOST, type Loose, objectOf, shown } from './faults.ts';
import type { Topology } from './topology.ts';

const NAME = /^[a-z][a-z0-9-]{0,31}$/;
const NAME_EXPECTED = 'a name of 1 to 32 lower-case letters, digits and dashes that begins with a letter';
const MYSQL_ADDRESS = /^mysql:\/\/[^:@/\s]{1,80}@[A-Za-z0-9.{}_-]{1,253}:\d{1,5}\/[A-Za-z0-9{}_-]{1,120}$/;
const COUNTRY = /^(?:[A-Z]{2}|\*)$/;

/** Every leaf says in its description what is expected: it becomes the fault's message. */
const whole = (minimum: number, maximum: number): TSchema =>
  Type.Integer({ minimum, maximum, description: `a whole number from ${minimum} to ${maximum}` });
const strict = (properties: Record<string, TSchema>, description: string): TSchema =>
  Type.Object(properties, { additionalProperties: false, description });
const named = (of: TSchema, minProperties: number, maxProperties: number, what: string): TSchema =>
  Type.Record(Type.String(), of, {
    minProperties,
    maxProperties,
    description: `${minProperties} to ${maxProperties} ${what}, by name`,
  });

const port = whole(1, 65_535);
const host = Type.String({
  pattern: HOST,
  description: 'a host name or an IP address',
});

const REPLICAS_MAX = 4;
/** Below it a healthy pair of regions that are far apart would be refused. */
const RPO_MS_MIN = 500;
const RPO_MS_MAX = 86_400_000;
const ENGINES_MAX = 16;
const OPTIONS_CHARS_MAX = 65_536;
const ENGINE_EXPECTED = "the name of an engine: 'sqlite', 'mysql', or one of modules";
const mysqlAddress = Type.String({
  pattern: MYSQL_ADDRESS,
  description: "an address such as 'mysql://cardume@db-{region}:3306/{shard}', without a password",
});

const passwordVariable = Type.String({
  pattern: /^[A-Z][A-Z0-9_]{0,99}$/,
  description: "the name of a variable such as 'CARDUME_MYSQL_PASSWORD'",
});
const tls = strict(
  { ca: Type.Optional(Type.String({ description: 'the PEM of an authority' })) },
  'an object, with the authority as `ca` or empty',
);
const ENDPOINTS_MAX = 9;
/** Of each engine of the coordinator: fields that it must have, and those that it may. */
const COORDINATORS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  embedded: [['host', 'port'], []],
  etcd: [['endpoints'], ['user', 'passwordVariable', 'tls']],
};
const domain = (charsMax: number, example: string): TSchema =>
  Type.String({
    pattern: /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.(?!$)|$))+$/,
    maxLength: charsMax,
    description: `a domain name in small letters, of at most ${charsMax}, such as '${example}'`,
  });
const address = Type.String({ pattern: /^[0-9a-fA-F.:]{2,45}$/, description: 'an IP address' });
const DNS_NETWORKS_MAX = 10_000;

const dns = strict(
  {
    host: Type.Optional(host),
    port,
    zone: domain(180, 'cardume.test'),
    name: Type.Optional(domain(60, 'shop')),
    policy: Type.Enum(['latency', 'failover', 'weighted', 'geo'], {
      description: "'latency', 'failover', 'weighted' or 'geo'",
    }),
    ttlS: Type.Optional(whole(1, 300)),
    order: Type.Optional(
      Type.Array(Type.String({ description: 'the name of a region' }), {
        description: 'a list of all regions, the preferred first',
      }),
    ),
    weights: Type.Optional(named(whole(0, 1_000), 1, SCOPE_MAX, 'weights of regions')),
    networks: Type.Optional(
      named(
        Type.String({ description: 'the name of a region, or a country code' }),
        1,
        DNS_NETWORKS_MAX,
        'networks',
      ),
    ),
    addresses: Type.Optional(
      named(
        Type.Array(address, { minItems: 1, maxItems: 8, description: '1 to 8 IP addresses' }),
        1,
        SCOPE_MAX,
        'lists of addresses of regions',
      ),
    ),
    address: Type.Optional(address),
    queriesPerS: Type.Optional(whole(1, 10_000_000)),
  },
  'a DNS server: port, zone, name, policy, ttlS, …',
);

const residencyPolicy = strict(
  {
    regions: Type.Array(Type.String({ description: 'the name of a region' }), {
      minItems: 1,
      description: 'a list of at least one region',
    }),
    elsewhere: Type.String({ pattern: /^(?:nothing|sealed)$/, description: "'nothing' or 'sealed'" }),
  },
  'a policy: regions, elsewhere',
);

const schema = strict(
  {
    name: Type.String({ pattern: NAME, description: NAME_EXPECTED }),
    regions: named(
      strict(
        {
          code: whole(1, SCOPE_MAX),
          host,
          port,
          peerPort: port,
          countries: Type.Array(
            Type.String({ pattern: COUNTRY, description: "a country code of ISO 3166 such as 'BR', or '*'" }),
            { description: 'a list of country codes' },
          ),
        },
        'a region: code, host, port, peerPort, countries',
      ),
      1,
      SCOPE_MAX,
      'regions',
    ),
    services: named(
      strict(
        {
          partitions: whole(1, PARTITIONS_MAX),
          globalPartitions: whole(0, PARTITIONS_MAX),
          shards: whole(1, PARTITIONS_MAX),
          replicas: Type.Optional(whole(0, REPLICAS_MAX)),
          durability: Type.Optional(
            Type.String({ pattern: /^(?:region|cross-region)$/, description: "'region' or 'cross-region'" }),
          ),
          rpoMsMax: Type.Optional(whole(RPO_MS_MIN, RPO_MS_MAX)),
          residency: Type.Optional(named(residencyPolicy, 1, SCOPE_MAX, 'policies of regions')),
          archives: Type.Optional(Type.Boolean({ description: 'true or false' })),
        },
        'a service: partitions, globalPartitions, shards, replicas, durability, rpoMsMax, residency, archives',
      ),
      1,
      256,
      'services',
    ),
    instances: strict(
      {
        services: Type.Array(Type.String({ description: 'the name of a service' }), {
          minItems: 1,
          description: 'a list of at least one service name',
        }),
      },
      'an object with services',
    ),
    edge: strict({ host, port, dns: Type.Optional(dns) }, 'an object with host, port and dns'),
    engines: strict(
      {
        log: Type.String({ description: ENGINE_EXPECTED }),
        modules: Type.Optional(
          named(
            strict(
              {
                module: Type.String({
                  pattern: /^file:\/\/\/\S{1,4000}$/,
                  description: "the URL of a module, such as import.meta.resolve('some-package') gives",
                }),
                options: Type.Optional(
                  Type.Record(Type.String(), Type.Unknown(), { description: 'an object for the engine' }),
                ),
              },
              'an engine: module, options',
            ),
            0,
            ENGINES_MAX,
            'engines',
          ),
        ),
        mysql: Type.Optional(
          strict(
            {
              address: mysqlAddress,
              replicas: Type.Optional(
                Type.Array(mysqlAddress, {
                  maxItems: REPLICAS_MAX,
                  description: `up to ${REPLICAS_MAX} addresses of servers that follow`,
                }),
              ),
              passwordVariable,
              tls: Type.Optional(tls),
            },
            'a server: address, replicas, passwordVariable, tls',
          ),
        ),
      },
      'an object with the engine of the log',
    ),
    coordinator: Type.Optional(
      strict(
        {
          engine: Type.String({ pattern: /^(?:embedded|etcd)$/, description: "'embedded' or 'etcd'" }),
          host: Type.Optional(host),
          port: Type.Optional(port),
          endpoints: Type.Optional(
            Type.Array(
              Type.String({
                pattern: /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}$/,
                description: "an address such as 'etcd-1:2379'",
              }),
              {
                minItems: 1,
                maxItems: ENDPOINTS_MAX,
                description: `1 to ${ENDPOINTS_MAX} addresses of members`,
              },
            ),
          ),
          user: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 80,
              description: 'the name of a user of 1 to 80 characters',
            }),
          ),
          passwordVariable: Type.Optional(passwordVariable),
          tls: Type.Optional(tls),
        },
        'a coordinator: engine, and what it needs',
      ),
    ),
    data: Type.String({ minLength: 1, maxLength: 1024, description: 'the path of a folder' }),
    bounds: strict(
      {
        batchEntriesMax: whole(1, 65_536),
        queueEntriesMax: whole(1, 10_000_000),
        writerThreadsMax: whole(1, 256),
        readerThreadsMax: whole(1, 256),
        readDeadlineMs: whole(10, 600_000),
        aggregatesCachedMax: whole(1, 10_000_000),
        snapshotEveryEvents: whole(1, 100_000),
        processesOpenMax: whole(1, 10_000_000),
        // A frame between instances holds 8 MiB, and a body in it may double when its quotes are escaped.
        bodyBytesMax: whole(1_024, 3 * 1024 * 1024),
        requestTimeoutMs: whole(100, 600_000),
        drainTimeoutMs: whole(0, 600_000),
        peerTimeoutMs: whole(10, 600_000),
        peerRequestsMax: whole(1, 1_000_000),
        passwordQueueMax: whole(1, 100_000),
        tokensCachedMax: whole(1, 10_000_000),
        idempotencyDays: whole(1, 3_650),
        segmentEntries: Type.Optional(whole(1, 10_000)),
        requestsPerMinute: whole(1, 1_000_000_000),
        subscribersMax: whole(0, 1_000_000),
      },
      'an object with every bound',
    ),
  },
  'a topology: name, regions, services, instances, edge, engines, coordinator, data, bounds',
);

const check = Compile(schema);
/** More are cut off: by then the input is something else altogether. */
const FAULTS_MAX = 1000;

/** @throws CardumeError `invalid-input` with every fault at its JSON pointer, and all of them in its message */
export function parseTopology(value: unknown): Topology {
  const faults = [...shapeFaults(value), ...ruleFaults(value)];
  if (faults.length > 0) {
    const lines = faults.map((fault) => `  ${fault.path === '' ? '(top)' : fault.path}: ${fault.message}`);
    const count = faults.length === 1 ? 'one fault' : `${faults.length} faults`;
    throw new CardumeError('invalid-input', `the topology has ${count}:\n${lines.join('\n')}`, { faults });
  }
  return value as Topology;
}

function shapeFaults(value: unknown): Fault[] {
  if (check.Check(value)) return [];
  const faults = new Map<string, string>();
  for (const error of allErrors(value)) {
    const parent = error.instancePath;
    if (error.keyword === 'required') {
      for (const name of error.params.requiredProperties) {
        const path = `${parent}/${escaped(name)}`;
        faults.set(path, `expected ${schemaAt(path)?.description}, but it is missing`);
      }
    } else if (error.keyword === 'additionalProperties') {
      for (const name of error.params.additionalProperties) {
        faults.set(
          `${parent}/${escaped(name)}`,
          `there is no such field${didYouMean(name, knownAt(parent))}`,
        );
      }
    } else if (error.keyword !== 'boolean') {
      faults.set(parent, `expected ${schemaAt(parent)?.description}, got ${shown(valueAt(value, parent))}`);
    }
  }
  return [...faults].map(([path, message]) => ({ path, message }));
}

/** TypeBox stops after 8 errors unless its global setting says otherwise; this is synchronous, so no one else sees it. */
function allErrors(value: unknown): ReturnType<typeof check.Errors> {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: FAULTS_MAX });
  try {
    return check.Errors(value);
  } finally {
    Settings.Set({ maxErrors });
  }
}

interface Node {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
}

function schemaAt(path: string): Node | undefined {
  let node: Node | undefined = schema as Node;
  for (const step of stepsOf(path)) {
    node = node?.properties?.[step] ?? Object.values(node?.patternProperties ?? {})[0] ?? node?.items;
  }
  return node;
}

function knownAt(path: string): string[] {
  return Object.keys(schemaAt(path)?.properties ?? {});
}

function valueAt(value: unknown, path: string): unknown {
  let at = value;
  for (const step of stepsOf(path)) at = (at as Record<string, unknown>)[step];
  return at;
}

function stepsOf(path: string): string[] {
  return path
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function ruleFaults(value: unknown): Fault[] {
  const faults: Fault[] = [];
  const add = (path: string, message: string): void => void faults.push({ path, message });
  const top = objectOf(value);
  const edge = objectOf(top['edge']);
  const coordinator = objectOf(top['coordinator']);
  regionRules(objectOf(top['regions']), edge, coordinator, add);
  coordinatorRules(coordinator, add);
  if (edge['dns'] !== undefined) dnsRules(objectOf(edge['dns']), edge, objectOf(top['regions']), add);
  serviceRules(objectOf(top['services']), objectOf(top['instances'])['services'], add);
  const regions = Object.keys(objectOf(top['regions']));
  durabilityRules(objectOf(top['services']), regions, top['coordinator'] !== undefined, add);
  engineRules(objectOf(top['engines']), Object.keys(objectOf(top['regions'])).length, add);
  boundRules(objectOf(top['bounds']), add);
  return faults;
}

function nameRule(path: string, name: string, add: Add): void {
  if (!NAME.test(name)) add(path, `expected ${NAME_EXPECTED}`);
}

function regionRules(regions: Loose, edge: Loose, coordinator: Loose, add: Add): void {
  const codes = new Map<unknown, string>();
  const addresses = new Map<string, string>();
  const countries = new Map<unknown, string>();
  const once = (seen: Map<unknown, string>, key: unknown, path: string, what: string): void => {
    const first = seen.get(key);
    if (first === undefined) seen.set(key, path);
    else add(path, `${what} stands at ${first} already`);
  };
  const portRule = (at: Loose, field: string, path: string): void => {
    if (typeof at[field] === 'number')
      once(addresses, `${at['host']}:${at[field]}`, path, `${at['host']}:${at[field]}`);
  };
  portRule(edge, 'port', '/edge/port');
  portRule(coordinator, 'port', '/coordinator/port');
  portRule({ host: edge['host'], ...objectOf(edge['dns']) }, 'port', '/edge/dns/port');
  for (const [name, value] of Object.entries(regions)) {
    const path = `/regions/${escaped(name)}`;
    const region = objectOf(value);
    nameRule(path, name, add);
    if (name === COORDINATOR_PEER && coordinator['engine'] === 'embedded')
      add(path, `'${name}' is what instances call the embedded coordinator: the region needs another name`);
    if (typeof region['code'] === 'number')
      once(codes, region['code'], `${path}/code`, `code ${region['code']}`);
    portRule(region, 'port', `${path}/port`);
    portRule(region, 'peerPort', `${path}/peerPort`);
    const listed = Array.isArray(region['countries']) ? region['countries'] : [];
    for (const [i, country] of listed.entries())
      once(countries, country, `${path}/countries/${i}`, shown(country));
  }
  if (Object.keys(regions).length > 0 && !countries.has('*')) {
    add(
      '/regions',
      "expected exactly one region whose countries have '*', for all that are not listed; there is none",
    );
  }
}

function isJson(value: unknown): boolean {
  try {
    const text = JSON.stringify(value);
    return text.length <= OPTIONS_CHARS_MAX && isDeepStrictEqual(JSON.parse(text), value);
  } catch {
    return false; // a cycle, or a bigint
  }
}

function engineRules({ log, mysql, modules }: Loose, regions: number, add: Add): void {
  const others = objectOf(modules);
  for (const name of Object.keys(others)) {
    const path = `/engines/modules/${escaped(name)}`;
    nameRule(path, name, add);
    if (HOUSE_ENGINES.includes(name)) add(path, 'the house has an engine of that name');
    const { options } = objectOf(others[name]);
    if (options !== undefined && !isJson(options))
      add(`${path}/options`, `expected JSON of at most ${OPTIONS_CHARS_MAX} characters`);
  }
  if (typeof log === 'string' && !HOUSE_ENGINES.includes(log) && !Object.hasOwn(others, log))
    add('/engines/log', `expected ${ENGINE_EXPECTED}, got ${shown(log)}`);
  if (log === 'mysql' && mysql === undefined)
    add('/engines/mysql', 'expected a server: address, passwordVariable, tls, but it is missing');
  const { address, replicas, tls } = objectOf(mysql);
  const addresses = new Map<string, unknown>([['/engines/mysql/address', address]]);
  if (Array.isArray(replicas))
    for (const [i, replica] of replicas.entries()) addresses.set(`/engines/mysql/replicas/${i}`, replica);
  for (const [path, one] of addresses) {
    if (typeof one !== 'string') continue;
    if (!one.split('/').at(-1)?.includes('{shard}'))
      add(path, "expected '{shard}' in the database: each shard has one of its own");
    if (regions > 1 && !one.split('@').at(-1)?.includes('{region}'))
      add(path, "expected '{region}' in host or database: regions share no database");
  }
  tlsRule(tls, [...addresses.values()], '/engines/mysql/tls', add);
}

function tlsRule(tls: unknown, addresses: readonly unknown[], path: string, add: Add): void {
  const isLoopback = (one: unknown): boolean =>
    /(?:^|@)(?:127\.\d+\.\d+\.\d+|localhost|\[::1\]):/.test(String(one));
  if (tls === undefined && addresses.some((one) => typeof one === 'string' && !isLoopback(one)))
    add(path, 'expected an object: a connection that leaves this machine is encrypted');
}

function coordinatorRules(coordinator: Loose, add: Add): void {
  const { engine, endpoints, user, passwordVariable: variable, tls } = coordinator;
  const [must = [], may = []] = (typeof engine === 'string' ? COORDINATORS[engine] : undefined) ?? [];
  if (must.length === 0) return;
  for (const field of must) {
    const path = `/coordinator/${field}`;
    if (coordinator[field] === undefined)
      add(path, `expected ${schemaAt(path)?.description}, but it is missing`);
  }
  for (const field of Object.keys(coordinator)) {
    const isOfAnother = Object.values(COORDINATORS).some((lists) => lists.flat().includes(field));
    if (isOfAnother && ![...must, ...may].includes(field) && coordinator[field] !== undefined)
      add(
        `/coordinator/${field}`,
        `the engine '${engine}' has no such field; it has ${[...must, ...may].join(', ')}`,
      );
  }
  if (engine !== 'etcd') return;
  if ((user === undefined) !== (variable === undefined))
    add(
      `/coordinator/${user === undefined ? 'user' : 'passwordVariable'}`,
      'expected both or neither: user, passwordVariable',
    );
  if (!Array.isArray(endpoints)) return;
  for (const [i, one] of endpoints.entries())
    if (endpoints.indexOf(one) < i) add(`/coordinator/endpoints/${i}`, `${shown(one)} is listed twice`);
  tlsRule(tls, endpoints, '/coordinator/tls', add);
}

function serviceRules(services: Loose, hosted: unknown, add: Add): void {
  const isPowerOfTwo = (n: unknown): boolean => typeof n === 'number' && Number.isInteger(Math.log2(n));
  for (const [name, value] of Object.entries(services)) {
    const path = `/services/${escaped(name)}`;
    const { partitions, globalPartitions, shards } = objectOf(value);
    nameRule(path, name, add);
    const cuts = { partitions, globalPartitions };
    for (const [field, count] of Object.entries(cuts)) {
      if (typeof count !== 'number' || count < 1 || count > PARTITIONS_MAX || isPowerOfTwo(count)) continue;
      add(`${path}/${field}`, `expected a power of two, got ${count}`);
    }
    if (typeof shards === 'number' && typeof partitions === 'number' && shards > partitions) {
      add(`${path}/shards`, `expected at most one shard a partition (${partitions}), got ${shards}`);
    }
  }
  if (!Array.isArray(hosted)) return;
  const seen = new Set<unknown>();
  for (const [i, name] of hosted.entries()) {
    if (typeof name !== 'string') continue;
    const path = `/instances/services/${i}`;
    if (!Object.hasOwn(services, name))
      add(path, `there is no service '${name}'${didYouMean(name, Object.keys(services))}`);
    else if (seen.has(name)) add(path, `'${name}' is listed twice`);
    seen.add(name);
  }
  for (const name of Object.keys(services)) {
    if (!seen.has(name)) add('/instances/services', `no instance hosts the service '${name}'`);
  }
}

/** Bounds that make sense only together: the smaller first. */
const ORDERED: readonly (readonly [less: string, more: string, why: string])[] = [
  ['batchEntriesMax', 'queueEntriesMax', 'a batch is taken from the queue'],
  ['readDeadlineMs', 'peerTimeoutMs', 'a read may run as long on a peer'],
];

function boundRules(bounds: Loose, add: Add): void {
  for (const [less, more, why] of ORDERED) {
    const [low, high] = [bounds[less], bounds[more]];
    if (typeof low === 'number' && typeof high === 'number' && low > high) {
      add(`/bounds/${more}`, `expected at least ${less} (${low}), since ${why}; got ${high}`);
    }
  }
}
