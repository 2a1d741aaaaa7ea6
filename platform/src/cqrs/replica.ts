/**
 * A replica of a shard's read models. It follows the log behind the shard, in its own time, and tells with each read
 * whether it has what the reader must see: it looks in the transaction that reads, so what it believed before does
 * not matter.
 */
import type { Head } from '../events/log.ts';
import type { Within } from '../sharding/deadline.ts';
import type { Plan } from '../sharding/plan.ts';
import type { Row, Table, Value } from '../sharding/table.ts';
import type { Positions } from './freshness.ts';

/** What a read must find. Structured-cloneable. */
export interface Floor {
  /** Partition, and the position up to which it must have been folded. */
  readonly positions: readonly (readonly [partition: number, position: number])[];
  /** Names of builds that must follow the log. */
  readonly builds: readonly string[];
}

/** Where a replica stands. Structured-cloneable. */
export interface Standing {
  readonly positions: Positions;
  /** Names of the builds that follow the log: others stand still, or are being built. */
  readonly builds: ReadonlySet<string>;
  readonly isBuilding: boolean;
  /** Projections that stand still, and why. */
  readonly halts: readonly string[];
}

export interface Replica {
  /** For operators: a file, or a server. */
  readonly name: string;
  /** Whether it takes what is committed when it is told to look; else a server of its own brings it. */
  readonly isFed: boolean;
  /** @param heads of the partitions that are at home in the shard @throws CardumeError when it cannot be reached */
  look(heads: readonly Head[]): Promise<Standing>;
  /** @returns null when it lacks something of the floor */
  row(table: Table, partition: number, key: Row, floor: Floor): Promise<{ readonly row: Row | null } | null>;
  /** @returns rows of `plan.columns`, null when it lacks something of the floor */
  scan(plan: Plan, floor: Floor, within: Within): Promise<Value[][] | null>;
  close(): Promise<void>;
}

export function reaches(
  { positions, builds }: Pick<Standing, 'positions' | 'builds'>,
  floor: Floor,
): boolean {
  return (
    floor.builds.every((build) => builds.has(build)) &&
    floor.positions.every(([partition, position]) => (positions.get(partition) ?? 0) >= position)
  );
}
