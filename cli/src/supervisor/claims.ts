/** What a start needs for itself alone, checked before anything runs: its ports, and its data folder. */
import { join } from 'node:path';
import { isCardumeError } from 'cardume/base';
import { tryPort } from 'cardume/edge/dns/sockets';
import type { Host } from 'cardume/host';
import type { Topology } from 'cardume/topology';
import { Failure } from '../failure.ts';

/** @throws Failure that names the first port that another program has */
export async function checkPorts(host: Host, topology: Topology, regions: readonly string[]): Promise<void> {
  const wanted = [{ use: 'the edge', host: topology.edge.host, port: topology.edge.port }];
  for (const name of regions) {
    const region = topology.regions[name];
    if (region === undefined) continue;
    wanted.push({ use: `region ${name}`, host: region.host, port: region.port });
    wanted.push({ use: `the links of region ${name}`, host: region.host, port: region.peerPort });
  }
  const { coordinator } = topology;
  if (coordinator?.engine === 'embedded')
    wanted.push({ use: 'the coordinator', host: coordinator.host, port: coordinator.port });
  for (const { use, host: address, port } of wanted) {
    try {
      const listener = await host.network.listen({ host: address, port }, (connection) => connection.close());
      await listener.close();
    } catch (error) {
      throw taken(use, address, port, error);
    }
  }
  const { dns } = topology.edge;
  if (dns === undefined) return;
  const address = dns.host ?? topology.edge.host;
  await tryPort({ host: address, port: dns.port }).catch((error: unknown) => {
    throw taken('the DNS server', address, dns.port, error);
  });
}

const taken = (use: string, address: string, port: number, error: unknown): Failure =>
  new Failure(`Port ${port} for ${use} cannot be used: ${reason(error, address, port)}.`, NEXT);

const NEXT =
  'Stop the program that uses it, or choose other ports: `npm start -- --port 18080` puts the edge there and moves ' +
  'the ports of the regions along.';

function reason(error: unknown, address: string, port: number): string {
  const code = codeOf(error);
  if (code === 'EADDRINUSE') return `another program listens on ${address}:${port}`;
  if (code === 'EACCES') return `this user may not listen on ${address}:${port}`;
  if (code === 'EADDRNOTAVAIL') return `this machine does not have the address ${address}`;
  return (error as Error).message;
}

function codeOf(error: unknown): string | undefined {
  const { code, cause } = error as { code?: string; cause?: { code?: string } };
  return cause?.code ?? code;
}

/**
 * Two supervisors on one folder would fence each other's writers off, endlessly. The lock is SQLite's, held by the open
 * file: the system drops it when this process ends, however it ends.
 * @returns what lets go of it
 * @throws Failure when another process has it
 */
export async function claimFolder(host: Host, dataFolder: string): Promise<() => void> {
  await host.disk.makeFolder(dataFolder);
  const path = join(dataFolder, 'lock');
  try {
    const database = host.disk.database(path, { busyTimeoutMs: 0 });
    database.exec('BEGIN EXCLUSIVE');
    return () => database.close();
  } catch (error) {
    if (!isCardumeError(error, 'storage-failed')) throw error;
    const next = 'Stop it, or give this one a folder of its own: `npm start -- --data FOLDER`.';
    throw new Failure(`Another Cardume uses the folder ${dataFolder} (${error.message}).`, next);
  }
}
