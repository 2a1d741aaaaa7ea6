/**
 * etcd on loopback: three members that agree, each with a data folder and ports of its own. Clients come over TLS or plainly,
 * with a password; members speak to each other plainly. They do not wait for their disks (`--unsafe-no-fsync`, which 3.4.23
 * has and its help does not tell): what tests write may be lost with the machine's power, not with a process.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { aptInstall, programOf } from './apt.ts';
import { certificateIn } from './certificate.ts';
import {
  type Engine,
  end,
  folderOf,
  freePort,
  isAlive,
  isFree,
  type Running,
  recall,
  untilListening,
} from './engine.ts';

const GROUP = 'etcd';
const MEMBERS: readonly string[] = ['etcd-1', 'etcd-2', 'etcd-3'];
const PORT = 12_379;
const START_MS_MAX = 60_000;
const STOP_MS_MAX = 30_000;
const CALL_MS_MAX = 10_000;
const USER = 'cardume';
/** What the user may read and write: `/cardume/`, up to the first key behind all of those. */
const KEYS = { from: '/cardume/', to: '/cardume0' };

/** What the members know of each other when their data is made, and must find again. */
interface Cluster {
  readonly members: readonly Member[];
  readonly token: string;
  readonly password: string;
  /** Its users stand. */
  readonly isMade: boolean;
}

interface Member {
  readonly name: string;
  readonly port: number;
  readonly plainPort: number;
  readonly peerPort: number;
}

export const etcd: readonly Engine[] = MEMBERS.map((name) => ({
  name,
  group: GROUP,
  about: 'a member of three that agree: who is home to what (coordinator etcd)',
  installed: () => programOf('etcd') !== null,
  install: () => aptInstall('etcd-server'),
  start: () => start(name),
  stop: (running) => end(running.pid, STOP_MS_MAX),
}));

async function start(name: string): Promise<Running> {
  const cluster = await clusterFor(name);
  const { port, plainPort, peerPort } = cluster.members.find((one) => one.name === name) as Member;
  const certificate = certificateIn(join(folderOf(GROUP), 'tls'));
  const folder = folderOf(name);
  mkdirSync(folder, { recursive: true });
  const log = join(folder, 'server.log');
  const out = openSync(log, 'a', 0o600);
  const peerAt = (at: number): string => `http://127.0.0.1:${at}`;
  const child = spawn(
    programOf('etcd') as string,
    [
      `--name=${name}`,
      `--data-dir=${join(folder, 'data')}`,
      `--listen-client-urls=https://127.0.0.1:${port},http://127.0.0.1:${plainPort}`,
      `--advertise-client-urls=https://127.0.0.1:${port}`,
      `--listen-peer-urls=${peerAt(peerPort)}`,
      `--initial-advertise-peer-urls=${peerAt(peerPort)}`,
      `--initial-cluster=${cluster.members.map((one) => `${one.name}=${peerAt(one.peerPort)}`).join(',')}`,
      `--initial-cluster-token=${cluster.token}`,
      '--initial-cluster-state=new',
      `--cert-file=${certificate.cert}`,
      `--key-file=${certificate.key}`,
      // As cheap as it gets: each client of a test signs in.
      '--bcrypt-cost=4',
      '--unsafe-no-fsync',
      '--logger=zap',
      '--log-level=warn',
    ],
    // The variables of the environment are options too: none of those that are there by chance.
    { detached: true, stdio: ['ignore', out, out], env: { PATH: process.env['PATH'] } },
  );
  child.unref();
  const running: Running = {
    ...{
      host: '127.0.0.1',
      port,
      plainPort,
      pid: child.pid as number,
      user: USER,
      password: cluster.password,
    },
    ca: readFileSync(certificate.ca, 'utf8'),
  };
  await untilListening(running, START_MS_MAX, () => readFileSync(log, 'utf8').slice(-2_000));
  const others = MEMBERS.filter((one) => one !== name && isRunning(one)).length;
  if (others > 0) await untilHealthy(running);
  if (others === MEMBERS.length - 1 && !cluster.isMade) {
    await makeUsers(running);
    write({ ...cluster, isMade: true });
  }
  return running;
}

function isRunning(name: string): boolean {
  const known = recall(name);
  return known !== null && isAlive(known.pid);
}

const recordOf = (): string => join(folderOf(GROUP), 'cluster.json');

function write(cluster: Cluster): void {
  mkdirSync(folderOf(GROUP), { recursive: true });
  writeFileSync(recordOf(), JSON.stringify(cluster, null, 2), { mode: 0o600 });
}

function read(): Cluster | null {
  try {
    return JSON.parse(readFileSync(recordOf(), 'utf8')) as Cluster;
  } catch {
    return null;
  }
}

/** The cluster that stands; made anew while none of its members runs and it was not finished, or its ports are taken. */
async function clusterFor(name: string): Promise<Cluster> {
  const known = read();
  const isAnyRunning = MEMBERS.some((one) => one !== name && isRunning(one));
  if (known !== null) {
    const ports = known.members.flatMap(({ port, plainPort, peerPort }) => [port, plainPort, peerPort]);
    const free = await Promise.all(ports.map(isFree));
    if (isAnyRunning || (known.isMade && free.every(Boolean))) return known;
  }
  for (const one of MEMBERS) rmSync(folderOf(one), { recursive: true, force: true });
  const members: Member[] = [];
  let next = PORT;
  const port = async (): Promise<number> => {
    const found = await freePort(next);
    next = found + 1;
    return found;
  };
  for (const one of MEMBERS)
    members.push({ name: one, port: await port(), plainPort: await port(), peerPort: await port() });
  const secret = (): string => randomBytes(18).toString('base64url');
  const made: Cluster = { members, token: secret(), password: secret(), isMade: false };
  write(made);
  return made;
}

async function untilHealthy(running: Running): Promise<void> {
  const untilMs = performance.now() + START_MS_MAX;
  for (;;) {
    const answer = await call(running, '/health').catch(() => ({ health: 'false' }));
    if ((answer as { health?: string }).health === 'true') return;
    if (performance.now() > untilMs)
      throw new Error(`the members of etcd do not agree within ${START_MS_MAX} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Root, with a password that nobody needs again, and the user of tests. */
async function makeUsers(running: Running): Promise<void> {
  const auth = (path: string, body: object): Promise<unknown> => call(running, `/v3/auth/${path}`, body);
  const bytes = (text: string): string => Buffer.from(text).toString('base64');
  await auth('user/add', { name: 'root', password: randomBytes(18).toString('base64url') });
  await auth('role/add', { name: 'root' });
  await auth('user/grant', { user: 'root', role: 'root' });
  await auth('user/add', { name: running.user, password: running.password });
  await auth('role/add', { name: running.user });
  const perm = { permType: 'READWRITE', key: bytes(KEYS.from), range_end: bytes(KEYS.to) };
  await auth('role/grant', { name: running.user, perm });
  await auth('user/grant', { user: running.user, role: running.user });
  await auth('enable', {});
}

/** @throws Error with what it says */
function call({ host, port, ca }: Running, path: string, body?: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host, port, path, ca, method: body === undefined ? 'GET' : 'POST', timeout: CALL_MS_MAX },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk) => {
          text += chunk;
        });
        incoming.on('end', () => {
          if (incoming.statusCode === 200) resolve(JSON.parse(text));
          else reject(new Error(`etcd: ${path}: ${text}`));
        });
        incoming.on('error', reject);
      },
    );
    outgoing.on('timeout', () =>
      outgoing.destroy(new Error(`etcd does not answer within ${CALL_MS_MAX} ms`)),
    );
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
