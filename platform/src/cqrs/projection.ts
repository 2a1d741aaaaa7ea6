/**
 * A projection folds a service's events into tables, exactly once: rows and checkpoint commit together, before the
 * command is answered. A projection that throws halts alone; its tables answer `read-model-halted`.
 */
import type { Row, Table } from '../sharding/table.ts';
import type { Typed } from './aggregate.ts';

export interface Projection {
  /** Unique within the service. */
  readonly name: string;
  /**
   * Raise it when `on` makes other rows of the same events: the tables are built anew, beside those in use. A change of
   * the tables themselves is noticed without it.
   */
  readonly revision?: number;
  readonly tables: readonly Table[];
  /** Event type → what it does to the tables. Types that are not named are skipped. */
  readonly on: Readonly<Record<string, (event: never, about: About, rows: RowsOf) => void>>;
}

/** What stands beside an event in its entry. */
export interface About {
  readonly stream: string;
  readonly version: number;
  readonly atMs: number;
}

/** Rows of one table in the event's partition. */
export interface Rows {
  /** Inserts, or replaces the whole row with the same key. */
  put(row: Row): void;
  /** Changes columns of an existing row; no effect when there is none. `key` gives all key columns. */
  patch(key: Row, changes: Row): void;
  /** Adds to integer columns, beginning at 0 when there is no row. */
  add(key: Row, deltas: Readonly<Record<string, number>>): void;
  remove(key: Row): void;
  get(key: Row): Row | undefined;
}

export type RowsOf = (table: Table) => Rows;

export type { Typed };

/** Fixes the types of a definition: `projection<OrderEvent>({ … on: { OrderPlaced(event, about, rows) {…} } })`. */
export function projection<Event extends Typed>(definition: {
  readonly name: string;
  readonly revision?: number;
  readonly tables: readonly Table[];
  readonly on: {
    readonly [T in Event['type']]?: (event: Extract<Event, { type: T }>, about: About, rows: RowsOf) => void;
  };
}): Projection {
  return definition as unknown as Projection;
}

export function tablesOf(projections: readonly Projection[]): readonly Table[] {
  return projections.flatMap((projection) => projection.tables);
}
