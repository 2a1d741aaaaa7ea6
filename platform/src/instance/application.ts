/** An application is what runs on the platform: its services with their operations, and the ports that they ask for. */
import type { Service } from '../cqrs/service.ts';
import type { Geography, Operation } from '../gateway/operation.ts';
import type { Host } from '../host/host.ts';
import type { Identity } from '../identity/identity.ts';
import type { Bounds, RegionName } from '../topology/topology.ts';

export interface Application {
  /** Stand in the API's documents. */
  readonly title: string;
  readonly version: string;
  readonly services: readonly { readonly service: Service; readonly operations: readonly Operation[] }[];
  /** Made once an instance. Operations and processes find them by name. */
  ports(ground: PortsGround): Readonly<Record<string, unknown>>;
}

export interface PortsGround {
  readonly host: Host;
  readonly region: RegionName;
  readonly identity: Identity;
  /** Processes need it to find what their effects are about. */
  readonly geography: Geography;
  readonly bounds: Bounds;
}
