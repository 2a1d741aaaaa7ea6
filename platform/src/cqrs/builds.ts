/**
 * A build is what one definition of a projection has made of the log: its tables, under names of their own. So a changed
 * definition is built beside the one that is in use, and a program that goes back finds its own as it left it.
 */
import type { TailSource } from '../events/tail.ts';
import type { Cryptography } from '../host/cryptography.ts';
import type { Plan } from '../sharding/plan.ts';
import type { Table } from '../sharding/table.ts';
import { AT_ONCE_ENTRIES_MAX } from './building.ts';
import type { Projection } from './projection.ts';

/** Structured-cloneable. */
export interface Build {
  /** Unique in a shard, such as `order-list@1f3a9c02`. */
  readonly name: string;
  readonly projection: string;
  readonly tables: readonly BuiltTable[];
}

export interface BuiltTable {
  /** As queries say it. */
  readonly name: string;
  /** As it stands in the shard. */
  readonly stored: Table;
}

/** As an engine stores it. */
export interface StoredBuild {
  readonly name: string;
  readonly projection: string;
  /** It has checkpoints of its own. */
  readonly isApart: boolean;
  /** Grows from opening to opening: the last one that had a use for it. */
  readonly turn: number;
  /** Names, as they stand in the shard. */
  readonly tables: readonly string[];
}

/**
 * How a shard's read models are opened. `beside`: another process is at work with them; what it uses is left alone, and
 * what is missing of these builds is begun.
 */
export type Opening = 'own' | 'beside';

/** Of one projection, beside the one in use: that of the program before, and one that was prepared for the next. */
const OTHERS_KEPT_MAX = 2;
const DIGEST_CHARACTERS = 8;
/** With its digest a name is one that every engine takes. */
const NAME_CHARACTERS_MAX = 54;

export function buildsOf(
  { sha256 }: Pick<Cryptography, 'sha256'>,
  projections: readonly Projection[],
): Build[] {
  const digestOf = (...parts: unknown[]): string =>
    Buffer.from(sha256(JSON.stringify(parts)))
      .toString('hex')
      .slice(0, DIGEST_CHARACTERS);
  return projections.map(({ name: projection, revision = 1, tables }) => {
    const shapes = tables.map(({ name, columns, key, indexes }) => [name, columns, key, indexes]);
    return {
      name: `${projection}@${digestOf(projection, revision, shapes)}`,
      projection,
      tables: tables.map((table) => {
        const digest = digestOf(projection, revision, shapes, table.name);
        return {
          name: table.name,
          stored: { ...table, name: `${table.name.slice(0, NAME_CHARACTERS_MAX)}_${digest}` },
        };
      }),
    };
  });
}

/** By the names that queries say. */
export function storedTables(builds: readonly Build[]): ReadonlyMap<string, Table> {
  return new Map(builds.flatMap(({ tables }) => tables.map(({ name, stored }) => [name, stored])));
}

/** Names of the builds that have tables, by the names that queries say. */
export function buildNames(builds: readonly Build[]): (tables: readonly string[]) => string[] {
  const byTable = new Map(builds.flatMap(({ name, tables }) => tables.map((table) => [table.name, name])));
  return (tables) => [...new Set(tables.map((table) => byTable.get(table) as string))];
}

/** By the plan as it was asked: shards that have the same builds are given the same plan, which can be read together. */
const storedPlans = new WeakMap<Plan, Plan[]>();

/** The plan with the tables' stored names. */
export function storedPlan(tables: ReadonlyMap<string, Table>, plan: Plan): Plan {
  const stored = (name: string): string => (tables.get(name) as Table).name;
  const table = stored(plan.table);
  const joins = plan.joins.map((join) =>
    join.values === null ? { ...join, table: stored(join.table) } : join,
  );
  const known = storedPlans.get(plan) ?? [];
  const same = known.find(
    (one) => one.table === table && one.joins.every((join, i) => join.table === joins[i]?.table),
  );
  if (same !== undefined) return same;
  const made = { ...plan, table, joins };
  storedPlans.set(plan, [...known, made]);
  return made;
}

/** Whether tables that are filled from its beginning would hold up whoever opens it. */
export function isLong(source: Pick<TailSource, 'heads'>): boolean {
  return source.heads().reduce((sum, { position }) => sum + position, 0) > AT_ONCE_ENTRIES_MAX;
}

/** Builds that nobody goes back to any more. */
export function outdated(stored: readonly StoredBuild[], current: readonly Build[]): StoredBuild[] {
  const others = stored.filter(({ name }) => !current.some((build) => build.name === name));
  const kept = new Map<string, number>();
  return others
    .sort((a, b) => b.turn - a.turn)
    .filter(({ projection }) => {
      const count = (kept.get(projection) ?? 0) + 1;
      kept.set(projection, count);
      return count > OTHERS_KEPT_MAX;
    });
}
