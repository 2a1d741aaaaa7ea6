/** What clients asked and what they were told: the raw material of the checks. Times are virtual milliseconds. */

export interface Write {
  readonly client: string;
  /** Its first attempt. */
  readonly fromMs: number;
  /** The answer; Infinity when none came: it may have happened, or may yet happen. */
  untilMs: number;
}

export interface Read {
  readonly client: string;
  /** The attempt that was answered: earlier ones changed nothing. */
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface OrderAsked extends Write {
  readonly key: string;
  readonly customer: string;
  readonly body: unknown;
  /** What it was answered; null: nothing final. */
  answer: { readonly status: number; readonly id: string | null } | null;
  /** What its key was answered besides, since the first was lost. */
  readonly others: string[];
}

/** Of an order: wrong, unless it was lost with its region. */
export interface Doubt {
  readonly id: string;
  readonly what: string;
  /** Nothing of it is there. */
  readonly isGone: boolean;
}

export interface Registered extends Write {
  readonly email: string;
  answer: { readonly status: number; readonly id: string | null } | null;
}

/** A product that somebody listed, or wanted to: `status` 0 when nobody was told. */
export interface Listing extends Write {
  readonly sku: string;
  status: number;
}

/** An operation on something that behaves like a register or a counter. */
export interface Access<Input> {
  readonly client: string;
  readonly fromMs: number;
  untilMs: number;
  readonly input: Input;
}

export type RegisterInput =
  | { readonly kind: 'write'; readonly value: string }
  | { readonly kind: 'read'; readonly value: string | null };

export type CounterInput =
  | { readonly kind: 'add'; readonly by: number }
  | { readonly kind: 'read'; readonly value: number };

/** A version that an answer showed of something. */
export interface Seen extends Read {
  readonly id: string;
  readonly version: number;
}

/** What a report over all orders said: how many are confirmed, and what they cost. */
export interface Report extends Read {
  readonly orders: number;
  /** In ten-thousandths. */
  readonly revenueE4: number;
}

export interface History {
  readonly orders: OrderAsked[];
  readonly doubts: Doubt[];
  readonly registrations: Registered[];
  readonly listings: Listing[];
  /** Transfers of stock that were acknowledged. */
  readonly transfers: string[];
  /** Names of accounts, by account. */
  readonly names: Map<string, Access<RegisterInput>[]>;
  /** What was received, by product and region. */
  readonly received: Map<string, Access<CounterInput>[]>;
  readonly seen: Seen[];
  /** Orders of customers, as they were listed; and how old what was listed might be. */
  readonly lists: Map<string, (Read & { readonly elements: readonly string[]; readonly staleMs: number })[]>;
  readonly reports: Report[];
  /** Looks at all parts of a stock at once. */
  readonly looks: {
    readonly balances: readonly number[];
    readonly total: number;
    readonly untilMs: number;
  }[];
  /** Orders whose key was sent again at the end, and gave the first answer. */
  readonly replayed: string[];
  /** Answered requests, by operation and status. */
  readonly answers: Map<string, number>;
}

export function newHistory(): History {
  return {
    orders: [],
    doubts: [],
    registrations: [],
    listings: [],
    transfers: [],
    names: new Map(),
    received: new Map(),
    seen: [],
    lists: new Map(),
    reports: [],
    looks: [],
    replayed: [],
    answers: new Map(),
  };
}

export function listed<Value>(map: Map<string, Value[]>, key: string): Value[] {
  let list = map.get(key);
  if (list === undefined) {
    list = [];
    map.set(key, list);
  }
  return list;
}
