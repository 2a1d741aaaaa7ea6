/** Who is alive and who is home to what: the coordinator that the topology names, whatever keeps it. */
import { CardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import type { Peers } from '../links/peer.ts';
import { COORDINATOR_PEER } from '../topology/engines.ts';
import type { Topology } from '../topology/topology.ts';
import type { Coordinator } from './coordinator.ts';
import { openEmbedded } from './embedded/client.ts';
import { openEtcd } from './etcd/etcd.ts';

/**
 * @param peers links of this instance: the embedded coordinator is one of its peers, named `COORDINATOR_PEER`
 * @returns null where the topology has none: then nothing ever moves
 * @throws CardumeError `invalid-input` when the variable with the password is not set
 */
export function openCoordinator(
  host: Pick<Host, 'clock' | 'env'>,
  { name, coordinator, bounds }: Pick<Topology, 'name' | 'coordinator' | 'bounds'>,
  peers: Pick<Peers, 'request' | 'stream'>,
): Coordinator | null {
  switch (coordinator?.engine) {
    case undefined:
      return null;
    case 'embedded':
      return openEmbedded(peers, { name: COORDINATOR_PEER });
    case 'etcd': {
      const { endpoints, tls, user, passwordVariable } = coordinator;
      return openEtcd(host.clock, {
        ...{ endpoints, tls, user, timeoutMs: bounds.peerTimeoutMs, prefix: `/cardume/${name}/` },
        password: passwordVariable === undefined ? undefined : passwordOf(host, passwordVariable),
      });
    }
  }
}

function passwordOf({ env }: Pick<Host, 'env'>, variable: string): string {
  const password = env.get(variable);
  if (password === undefined) {
    const detail = `the variable ${variable} is not set: it holds the password of etcd's user`;
    throw new CardumeError('invalid-input', detail);
  }
  return password;
}
