/**
 * W3C Trace Context: `traceparent` names the trace and the caller's span; we continue the trace under a span of our
 * own, or begin one. `tracestate` belongs to others and is handed on as it is. Spans are not exported yet: the ids
 * stand in logs, in answers and in what is sent on, so that one request can be followed over instances.
 */
import type { Random } from '../host/host.ts';

export interface TraceParent {
  /** 32 lower-case hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hexadecimal digits, not all zero. */
  readonly spanId: string;
  /** Bit 0: sampled; bit 1: the trace id is random. */
  readonly flags: number;
}

const SHAPE = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);
const FLAGS_KNOWN = 0b11;
const FLAGS_OF_A_START = 0b11;

/** @returns null when the header is not one that the standard allows: the caller then begins a new trace */
export function parseTraceParent(header: string): TraceParent | null {
  const match = SHAPE.exec(header);
  if (match === null) return null;
  const [, version, traceId, spanId, flags, more] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string?,
  ];
  if (version === 'ff' || traceId === NO_TRACE || spanId === NO_SPAN) return null;
  // Version 00 ends here; a later version may say more, which we do not know and drop.
  if (version === '00' && more !== undefined) return null;
  return { traceId, spanId, flags: Number.parseInt(flags, 16) & FLAGS_KNOWN };
}

/** Always written as version 00, the one we know. */
export function formatTraceParent(trace: TraceParent): string {
  return `00-${trace.traceId}-${trace.spanId}-0${trace.flags}`;
}

export interface Span {
  readonly trace: TraceParent;
  /** 32 hexadecimal digits, unique to this span; equal to the trace id when the trace begins here. */
  readonly unique: string;
}

/** Random bytes of one span: 16 for a trace id, 8 for its own. */
const SPAN_BYTES = 24;

/** A span under `parent`, or the first one of a new trace. */
export function startSpan(parent: TraceParent | null, random: Random): Span {
  const hex = random.bytes(SPAN_BYTES).toHex();
  const unique = hex.slice(0, 32);
  const spanId = hex.slice(32);
  const trace =
    parent === null
      ? { traceId: unique, spanId, flags: FLAGS_OF_A_START }
      : { traceId: parent.traceId, spanId, flags: parent.flags };
  return { trace, unique };
}
