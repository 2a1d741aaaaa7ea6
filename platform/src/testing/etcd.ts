/**
 * The members of etcd that `npm run engines` has started, for tests. Where one does not run its tests are skipped, and say so;
 * with `CARDUME_ENGINES=required`, as in CI, they fail.
 */
import { fileURLToPath } from 'node:url';
import { isCardumeError } from '../base/errors.ts';
import type { Coordinator } from '../discovery/coordinator.ts';
import { openEtcd } from '../discovery/etcd/etcd.ts';
import { type Members, type MembersOptions, openMembers } from '../discovery/etcd/members.ts';
import { numberOf } from '../discovery/etcd/message.ts';
import type { Host } from '../host/host.ts';
import type { CoordinatorHarness } from './coordinator-conformance.ts';

export interface Etcd extends Omit<MembersOptions, 'timeoutMs'> {
  /** The same members, without TLS. */
  readonly plainEndpoints: readonly string[];
}

/** Either the members, or why their tests are skipped. */
export type FoundEtcd = { readonly etcd: Etcd; readonly skip: false } | { readonly skip: string };

interface Recorded {
  readonly host: string;
  readonly port: number;
  readonly plainPort: number;
  readonly user: string;
  readonly password: string;
  readonly ca: string;
}

const HOUSE = new URL('../../../', import.meta.url);
const ENGINES = fileURLToPath(new URL('.cardume/engines', HOUSE));
const MEMBERS = [1, 2, 3];
const CONNECT_MS_MAX = 2_000;
const TIMEOUT_MS = 5_000;
/** Etcd's shortest lease, with the election time-out that it has as it comes. */
const TTL_MS = 2_000;

/** @param folder of the engines @throws Error when they must run and do not */
export async function etcdOf(host: Host, folder = ENGINES): Promise<FoundEtcd> {
  const members = await Promise.all(MEMBERS.map((i) => memberIn(host, folder, `etcd-${i}`)));
  const found = members.filter((one) => one !== null);
  if (found.length === MEMBERS.length) return { etcd: etcdWith(found), skip: false };
  if (host.env.get('CARDUME_ENGINES') === 'required')
    throw new Error('etcd is not running: npm run engines -- start etcd');
  return { skip: 'skipped: etcd is not running' };
}

function etcdWith(members: readonly Recorded[]): Etcd {
  const [{ ca, user, password }] = members as readonly [Recorded];
  return {
    ...{ tls: { ca }, user, password },
    endpoints: members.map(({ host, port }) => `${host}:${port}`),
    plainEndpoints: members.map(({ host, plainPort }) => `${host}:${plainPort}`),
  };
}

async function memberIn(host: Host, folder: string, name: string): Promise<Recorded | null> {
  const record = await host.disk.read(`${folder}/${name}.json`);
  if (record === null) return null;
  const member = JSON.parse(Buffer.from(record).toString()) as Recorded;
  try {
    (await host.network.connect(member, CONNECT_MS_MAX)).close();
    return member;
  } catch (error) {
    if (!isCardumeError(error, 'partition-unavailable')) throw error;
    return null;
  }
}

/** Keys of its own; what is left of them is removed when it is closed. */
export function etcdUnderTest(host: Host, etcd: Etcd, timeoutMs = TIMEOUT_MS): CoordinatorHarness {
  const name = Buffer.from(host.random.bytes(6)).toString('hex');
  const options = { ...etcd, timeoutMs, prefix: `/cardume/test-${name}/` };
  const clients: Coordinator[] = [];
  const open = async (): Promise<Coordinator> => {
    const client = openEtcd(host.clock, options);
    clients.push(client);
    return client;
  };
  return {
    host,
    open,
    ttlMs: TTL_MS,
    done: (work) => work,
    forget: () => withMembers(host, etcd, compact),
    async close() {
      const last = await open();
      for (;;) {
        const { values } = await last.read('');
        if (values.length === 0) break;
        await last.change(
          [],
          values.slice(0, 100).map(({ key }) => ({ key, value: null })),
        );
      }
      await Promise.all(clients.map((client) => client.close()));
    },
  };
}

async function compact(members: Members): Promise<void> {
  const { header } = await members.call('/v3/kv/range', { key: btoa('/cardume/') }, 'read');
  const revision = numberOf((header as { readonly revision: unknown }).revision);
  await members.call('/v3/kv/compaction', { revision: String(revision), physical: true }, 'once');
}

async function withMembers(host: Host, etcd: Etcd, work: (members: Members) => Promise<void>): Promise<void> {
  const members = openMembers(host.clock, { ...etcd, timeoutMs: TIMEOUT_MS });
  try {
    await work(members);
  } finally {
    await members.close();
  }
}
