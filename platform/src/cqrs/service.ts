/** A service: its aggregates, projections and processes. Its HTTP operations are added by the gateway's `serve`. */
import type { Aggregate } from './aggregate.ts';
import type { Process } from './process.ts';
import type { Projection } from './projection.ts';

export interface Service {
  readonly name: string;
  /**
   * The module that exports this service as `service`: writer threads load projections from it.
   * Always `import.meta.url` of the defining file.
   */
  readonly module: string;
  // biome-ignore lint/suspicious/noExplicitAny: definitions of different types stand in one list
  readonly aggregates: readonly Aggregate<any, any, any>[];
  readonly projections: readonly Projection[];
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly processes: readonly Process<any, any, any>[];
}
