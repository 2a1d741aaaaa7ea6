/** What a client asks of the embedded coordinator, as it crosses the link. */
import type { Change, Condition } from '../coordinator.ts';

export type Asked =
  | { readonly do: 'read'; readonly prefix: string }
  | {
      readonly do: 'change';
      readonly conditions: readonly Condition[];
      readonly changes: readonly Change[];
    }
  | { readonly do: 'grant'; readonly ttlMs: number }
  | { readonly do: 'renew'; readonly id: string }
  | { readonly do: 'end'; readonly id: string }
  /** A stream, of lists of news. */
  | { readonly do: 'watch'; readonly prefix: string; readonly afterRevision: number };
