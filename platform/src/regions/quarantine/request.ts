/** What regions ask each other about what was cut off copies. All of it is JSON. */
import type { JsonObject } from '../../base/json.ts';
import type { Decision, Quarantined } from '../../events/quarantine.ts';
import type { ServiceName } from '../../topology/topology.ts';

/** The first two ask the region that has the quarantine, the last one a home. */
export type QuarantineRequest =
  | {
      readonly do: 'list';
      readonly of: QuarantineScope;
      readonly state: QuarantineState;
      readonly after: string | null;
      readonly entriesMax: number;
    }
  | {
      readonly do: 'decide';
      readonly decision: Decision;
      /** Some ids, or all that is undecided of something, a part at a time. */
      readonly what:
        | { readonly ids: readonly string[] }
        | { readonly of: QuarantineScope; readonly after: string | null };
    }
  /** One page a stream: the first entry of its tail, and its own. Answered by a `Came` for each. */
  | { readonly do: 'append'; readonly service: ServiceName; readonly pages: string };

/** Null: all. */
export interface QuarantineScope {
  readonly service: ServiceName | null;
  readonly partition: number | null;
}

export type QuarantineState = 'undecided' | 'decided' | 'all';

export interface QuarantineList {
  /** May be fewer than was asked for, though there are more. */
  readonly items: readonly QuarantineItem[];
  readonly next: string | null;
}

export interface QuarantineItem {
  /** `<service>/<token>`: of one region. */
  readonly id: string;
  readonly service: ServiceName;
  readonly partition: number;
  readonly epoch: number;
  readonly position: number;
  readonly stream: string;
  readonly version: number | null;
  readonly type: string;
  readonly atMs: number;
  readonly key: string | null;
  /** Without what is personal; null: there is none, it is too long, or not known to this version. */
  readonly data: JsonObject | null;
  readonly cutMs: number;
  readonly settled: Quarantined['settled'];
}

export interface QuarantineDecided {
  /** That were decided by this. */
  readonly entries: number;
  /** Stay undecided. */
  readonly left: readonly QuarantineLeft[];
  /** Where the rest begins; null: there is none. */
  readonly next: string | null;
}

/** What a stream has in a tail. */
export interface QuarantineLeft {
  readonly ids: readonly string[];
  readonly stream: string;
  readonly why: string;
  /** It could not be found out now: ask again. Otherwise it will not be taken, and can be discarded. */
  readonly isOpen: boolean;
}

/** What became of a stream's entries. */
export interface Came {
  /** Null: they stand in the log. */
  readonly why: string | null;
  readonly isOpen: boolean;
}
