/** Access tokens out of the secrets on this machine, for operators and scripts. */
import type { Host } from 'cardume/host';
import type { Principal } from 'cardume/identity/principal';
import { type IssuedToken, openTokens } from 'cardume/identity/tokens';
import type { Secrets } from 'cardume/instance';
import type { Topology } from 'cardume/topology';

export function issueToken(
  host: Host,
  topology: Topology,
  secrets: Secrets,
  principal: Principal,
): IssuedToken {
  return openTokens(host, { key: secrets.tokenKey, issuer: topology.name, tokensCachedMax: 1 }).issue(
    principal,
  );
}
