/** One readable stream out of the logs of all processes: time, region, message, fields. Pure text. */

export interface LineStyle {
  readonly colour: boolean;
  /** Names in the order of their colours, the longest sets the width of the column. */
  readonly names: readonly string[];
}

interface Entry {
  readonly level: string;
  readonly timeMs: number;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Cyan, magenta, blue, green: yellow and red are for levels. */
const COLOURS = [36, 35, 34, 32];
const DIM = 2;
const LEVEL_COLOURS: Readonly<Record<string, number>> = { warn: 33, error: 31 };

/** @param nowMs the time of a line that bears none */
export function readable(line: string, name: string, nowMs: number, style: LineStyle): string {
  const paint = (text: string, code: number | undefined): string =>
    style.colour && code !== undefined ? `\u001b[${code}m${text}\u001b[0m` : text;
  const entry = parse(line) ?? { level: 'info', timeMs: nowMs, message: line, fields: {} };
  const width = Math.max(...style.names.map((known) => known.length));
  const head = [
    paint(clock(entry.timeMs), DIM),
    paint(name.padEnd(width), COLOURS[style.names.indexOf(name) % COLOURS.length]),
  ];
  if (entry.level !== 'info') head.push(paint(entry.level, LEVEL_COLOURS[entry.level] ?? DIM));
  const { error, ...fields } = entry.fields;
  const shown = Object.entries(fields).map(([field, value]) => paint(`${field}=${valueText(value)}`, DIM));
  return `${[...head, entry.message, ...shown].join('  ')}${errorText(error)}`;
}

/** The same line for a program: as it came when it is JSON, else as JSON. */
export function machineReadable(line: string, name: string, nowMs: number): string {
  if (parse(line) !== null) return line;
  return JSON.stringify({ level: 'info', time: nowMs, region: name, message: line });
}

function parse(line: string): Entry | null {
  if (!line.startsWith('{')) return null;
  try {
    const { level, time, message, region: _, ...fields } = JSON.parse(line) as Record<string, unknown>;
    if (typeof time !== 'number' || typeof message !== 'string') return null;
    return { level: typeof level === 'string' ? level : 'info', timeMs: time, message, fields };
  } catch {
    return null; // text that looks like JSON: shown as it is
  }
}

/** Local time of day. */
function clock(timeMs: number): string {
  const date = new Date(timeMs);
  const two = (n: number): string => String(n).padStart(2, '0');
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}

function valueText(value: unknown): string {
  return typeof value === 'string' && !/[\s"]/.test(value) ? value : JSON.stringify(value);
}

/** The stack of an error on lines of its own; any other value behind the message. */
function errorText(error: unknown): string {
  if (error === undefined) return '';
  const { stack, cause } = (error ?? {}) as { stack?: unknown; cause?: unknown };
  if (typeof stack !== 'string') return `  error=${valueText(error)}`;
  return `\n${stack.replaceAll(/^/gm, '    ')}${cause === undefined ? '' : `\n    cause:${errorText(cause)}`}`;
}
