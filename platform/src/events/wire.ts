/**
 * What a log and its writer thread say to each other. Requests have an answer each; batches go by themselves, one at
 * a time per shard. A thread serves several shards, so every message names one.
 */
import { CardumeError, type ErrorCode, isCardumeError } from '../base/errors.ts';
import type { ArchiveAsked } from './archive/making.ts';
import type { Batch, Outcome } from './batch.ts';
import type { LogPlace, Recovered, Start } from './engine.ts';
import type { Copied, CopyPage, Head, PartitionKey } from './log.ts';
import type { Decision } from './quarantine.ts';

export type Request =
  | {
      readonly kind: 'open';
      readonly place: LogPlace;
      readonly start: Start;
      readonly tail: TailAddress | null;
    }
  | { readonly kind: 'ask'; readonly message: unknown }
  | { readonly kind: 'forget'; readonly beforeMs: number; readonly entriesMax: number }
  | { readonly kind: 'archive'; readonly asked: ArchiveAsked }
  | CopyRequest
  /** See `Quarantine`. */
  | { readonly kind: 'quarantined'; readonly after: string | null; readonly entriesMax: number }
  | { readonly kind: 'settle'; readonly ids: readonly string[]; readonly decision: Decision }
  | { readonly kind: 'close' };

/** See `Copies`. */
export type CopyRequest =
  | { readonly kind: 'begin'; readonly partition: PartitionKey }
  | { readonly kind: 'follow'; readonly partition: PartitionKey; readonly aboveEpoch: number }
  /** The tail is asked, if it is a copy. */
  | { readonly kind: 'tend'; readonly partition: PartitionKey; readonly message: unknown }
  /** Answered by `CopyAnswer`. */
  | { readonly kind: 'copy'; readonly pages: readonly CopyPage[] }
  | {
      readonly kind: 'adopt';
      readonly partition: PartitionKey;
      readonly epoch: number;
      readonly floor: number;
    }
  | { readonly kind: 'release'; readonly partition: PartitionKey }
  | { readonly kind: 'unseat'; readonly partition: PartitionKey }
  | {
      readonly kind: 'cut';
      readonly head: Head;
      readonly afterPosition: number;
      readonly entriesMax: number;
    }
  | { readonly kind: 'drop'; readonly partition: PartitionKey; readonly entriesMax: number };

export interface CopyAnswer {
  readonly copied: readonly Copied[];
  /** The tail's; null when it has seen nothing. */
  readonly report: unknown;
}

export interface TailAddress {
  readonly module: string;
  readonly init: unknown;
}

export interface Opened {
  readonly heads: readonly Head[];
  readonly recovered: readonly Recovered[];
  /** See `Opening`. */
  readonly strays: readonly string[];
  /** The tail's, when it has one to give. */
  readonly report: unknown;
}

/** What a writer thread begins with. */
export interface WriterInit {
  /** Null: its appends need no lease. See `WriterPool.lease`. */
  readonly leaseUntilMs: number | null;
}

/** Of one shard, or of all. */
export type ToThread =
  | ({ readonly shard: number } & (
      | { readonly request: number; readonly body: Request }
      | { readonly append: Batch }
    ))
  | { readonly leaseUntilMs: number };

export type FromThread = { readonly shard: number } & (
  | { readonly reply: number; readonly value: unknown }
  | { readonly reply: number; readonly error: WireError }
  | { readonly appended: Outcome; readonly report: unknown }
);

/** Structured clone keeps of an error its message only: a coded one travels as its parts. */
export interface WireError {
  readonly code: ErrorCode | null;
  readonly message: string;
}

export function toWire(error: unknown): WireError {
  if (isCardumeError(error)) return { code: error.code, message: error.message };
  return { code: null, message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

export function fromWire({ code, message }: WireError): Error {
  return code === null ? new Error(message) : new CardumeError(code, message);
}
