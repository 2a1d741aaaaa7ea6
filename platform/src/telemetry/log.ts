/**
 * The operator's log: one JSON object a line, through `host.env.write` and nothing else. What must not stand in a log
 * is taken out here and not where a line is written: values under secret names, bearer tokens and JWTs, and e-mail
 * addresses wherever they appear. Lines below the level cost one comparison.
 */
import { pino } from 'pino';
import type { Host } from '../host/host.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface Log {
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  /** `fields.error`: an Error is written with its stack and its causes. */
  error(message: string, fields?: Fields): void;
  /** The same log with fields that stand in every line. */
  with(fields: Fields): Log;
}

export type Fields = Readonly<Record<string, unknown>>;

const LEVELS: readonly string[] = ['debug', 'info', 'warn', 'error', 'silent'] satisfies LogLevel[];

/**
 * @param fields such as the region; stand in every line
 * @param level default: the environment's `CARDUME_LOG_LEVEL`, else `info`
 * @throws Error when the environment names a level that does not exist
 */
export function openLog(host: Pick<Host, 'clock' | 'env'>, fields: Fields, level?: LogLevel): Log {
  const chosen = level ?? host.env.get('CARDUME_LOG_LEVEL') ?? 'info';
  if (!LEVELS.includes(chosen)) {
    throw new Error(`CARDUME_LOG_LEVEL is '${chosen}': expected one of ${LEVELS.join(', ')}`);
  }
  const lines = pino(
    {
      level: chosen,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":${host.clock.nowMs()}`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => host.env.write(line.endsWith('\n') ? line.slice(0, -1) : line) },
  );
  return logOver(lines.child(clean(fields)));
}

type Lines = ReturnType<ReturnType<typeof pino>['child']>;

function logOver(lines: Lines): Log {
  const writer =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields?: Fields): void => {
      if (!lines.isLevelEnabled(level)) return;
      lines[level](fields === undefined ? {} : clean(fields), cleanText(message));
    };
  return {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    with: (fields) => logOver(lines.child(clean(fields))),
  };
}

const REMOVED = '[removed]';
const SECRET_NAME =
  /authorization|cookie|passw|passphrase|secret|token|api[-_]?key|private|^e?-?mail|credential/i;
/** A name that looks secret but is a position in the log. */
const HARMLESS_NAMES: ReadonlySet<string> = new Set(['cardume-token', 'tokensCachedMax', 'passwordQueueMax']);
const BEARER = /\b(bearer|basic)\s+[\w.~+/=-]+/gi;
const JWT = /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g;
/** Bounded repetition, so that a long line of letters costs linear time. */
const EMAIL = /[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}/gi;
const DEPTH_MAX = 6;
const ITEMS_MAX = 100;
const TEXT_CHARS_MAX = 16_384;

/** Text without tokens and e-mail addresses. */
export function cleanText(text: string): string {
  const short = text.length > TEXT_CHARS_MAX ? `${text.slice(0, TEXT_CHARS_MAX)}…` : text;
  return short.replace(JWT, REMOVED).replace(BEARER, `$1 ${REMOVED}`).replace(EMAIL, REMOVED);
}

/** A copy of the fields that may stand in a log. */
export function clean(fields: Fields): Record<string, unknown> {
  return cleanObject(fields, 0);
}

function cleanObject(fields: object, depth: number): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields).slice(0, ITEMS_MAX)) {
    const secret =
      value !== null && value !== undefined && SECRET_NAME.test(name) && !HARMLESS_NAMES.has(name);
    out[name] = secret ? REMOVED : cleanValue(value, depth + 1);
  }
  return out;
}

function cleanValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth > DEPTH_MAX) return '[deeper]';
  if (value instanceof Error) {
    const { message, stack, cause } = value;
    const own = cleanObject({ ...value }, depth);
    return {
      ...own,
      name: value.name,
      message: cleanText(message),
      stack: cleanText(stack ?? ''),
      ...(cause === undefined ? {} : { cause: cleanValue(cause, depth + 1) }),
    };
  }
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, ITEMS_MAX).map((item) => cleanValue(item, depth + 1));
  return cleanObject(value, depth);
}
