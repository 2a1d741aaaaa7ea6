/**
 * All that keeps a shard: its log, its read models, its memory and its keys. The house has two, and a module of somebody else
 * may export a third as `engine`, which a topology then names. It runs on the writer threads and on the main thread, so it
 * keeps nothing of its own between calls but what it opens. The conformance suites in `testing` say what it must do.
 */
import type { Driver } from '../events/engine.ts';
import type { TailSource } from '../events/tail.ts';
import type { Host } from '../host/host.ts';
import type { Build } from './builds.ts';
import type { Feeder } from './feeder.ts';
import type { Projection } from './projection.ts';
import type { Readers } from './readers.ts';
import type { Replica } from './replica.ts';
import type { Reading, ReadModels, ShardPlace, Stores } from './storage.ts';

export interface ShardEngine<Place extends ShardPlace = ShardPlace> {
  readonly log: Driver;
  /** On the writer thread: what follows the log. */
  openStores(
    host: Host,
    place: Place,
    projections: readonly Projection[],
    source: TailSource,
  ): Promise<Stores>;
  /** Read models alone, while another process has the shard open. */
  openBeside(
    host: Host,
    place: Place,
    projections: readonly Projection[],
    source: TailSource,
  ): Promise<Beside>;
  /** On the main thread, when the stores stand. */
  openReading(host: Host, place: Place, builds: readonly Build[], readers: Readers): Reading;
  /** For reads that may be old. */
  openReplicas(host: Host, place: Place, of: ReplicasOf): readonly Replica[];
}

export interface Beside {
  readonly readModels: ReadModels;
  close(): Promise<void>;
}

export interface ReplicasOf {
  /** Module of the service. */
  readonly module: string;
  readonly builds: readonly Build[];
  readonly readers: Readers;
  /** Where there is none, nothing feeds replicas. */
  readonly feeder: Feeder | undefined;
}
