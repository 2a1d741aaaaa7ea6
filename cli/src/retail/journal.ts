/**
 * What the platform has acknowledged, line by line on the disk: a second run asks only for what is missing. It is a
 * memory, not the truth: idempotency keys alone keep things from happening twice, so a line that was lost or torn by a
 * crash costs one request, and nothing is synced line by line.
 *
 * Lines are JSON: `{"key","id",…}` for one acknowledged thing, `{"settled":true}` when all orders above are confirmed.
 */
import { openSink, readText, type Sink } from './files.ts';

export interface Entry {
  /** The platform's id; stock has none. */
  readonly id?: string;
  readonly region?: string;
}

export interface Journal {
  get(key: string): Entry | undefined;
  add(key: string, entry: Entry): void;
  /** Orders that are known to be confirmed need not be asked for again. */
  isConfirmed(key: string): boolean;
  confirm(key: string): void;
  confirmAll(): void;
  /** The last entry that has an id: the platform must know it, or the journal tells of another one. */
  last(): Entry | undefined;
  close(): Promise<void>;
}

/** @param path null: remembers within this run only. @param isFresh what stands in the file is dropped */
export async function openJournal(path: string | null, isFresh = false): Promise<Journal> {
  const entries = new Map<string, Entry>();
  const confirmed = new Set<string>();
  let last: Entry | undefined;
  const confirmAll = (): void => {
    for (const key of entries.keys()) confirmed.add(key);
  };

  const text = path === null || isFresh ? null : await readText(path);
  for (const line of (text ?? '').split('\n')) {
    const read = parseLine(line);
    if (read === undefined) continue;
    if (read.settled === true) confirmAll();
    else if (read.confirmed === true) confirmed.add(read.key);
    else {
      const { key, ...entry } = read;
      entries.set(key, entry);
      if (entry.id !== undefined) last = entry;
    }
  }

  const sink: Sink | null = path === null ? null : await openSink(path, isFresh ? 'replace' : 'append');
  const write = (line: object): void => sink?.write(JSON.stringify(line));
  return {
    get: (key) => entries.get(key),
    add(key, entry) {
      entries.set(key, entry);
      if (entry.id !== undefined) last = entry;
      write({ key, ...entry });
    },
    isConfirmed: (key) => confirmed.has(key),
    confirm(key) {
      confirmed.add(key);
      write({ key, confirmed: true });
    },
    confirmAll() {
      confirmAll();
      write({ settled: true });
    },
    last: () => last,
    close: async () => sink?.close(),
  };
}

type Line =
  | { readonly settled: true }
  | { readonly settled?: never; readonly confirmed: true; readonly key: string }
  | ({ readonly settled?: never; readonly confirmed?: never; readonly key: string } & Entry);

/** Undefined for what a crash has torn: its thing is asked for again. */
function parseLine(line: string): Line | undefined {
  try {
    const value = JSON.parse(line) as Line | null;
    return value?.settled === true || typeof (value as { key?: unknown } | null)?.key === 'string'
      ? (value as Line)
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
