/**
 * What was not imported, or otherwise than written: counted by reason with a few examples in memory, all of it in the
 * report file that the user asked for (CSV, or JSON when its name ends so).
 */
import { openSink, type Sink } from './files.ts';

export interface Rejection {
  readonly reason: string;
  /** Line of the file; null for what has none. */
  readonly line: number | null;
  readonly invoice: string | null;
  readonly detail: string;
}

export interface RejectionGroup {
  count: number;
  readonly examples: Rejection[];
}

export interface Rejections {
  add(rejection: Rejection): void;
  /** Most frequent first. */
  byReason(): Readonly<Record<string, RejectionGroup>>;
  close(): Promise<void>;
}

const examplesMax = 3;

/** @param path of the report file; null: none is written */
export async function openRejections(path: string | null): Promise<Rejections> {
  const groups = new Map<string, RejectionGroup>();
  const sink: Sink | null = path === null ? null : await openSink(path, 'replace');
  const isJson = path?.toLowerCase().endsWith('.json') === true;
  let isFirst = true;
  if (sink !== null) sink.write(isJson ? '[' : 'line,invoice,reason,detail');

  return {
    add(rejection) {
      let group = groups.get(rejection.reason);
      if (group === undefined) {
        group = { count: 0, examples: [] };
        groups.set(rejection.reason, group);
      }
      group.count += 1;
      if (group.examples.length < examplesMax) group.examples.push(rejection);
      const { line, invoice, reason, detail } = rejection;
      if (isJson) sink?.write(`${isFirst ? '' : ','}${JSON.stringify({ line, invoice, reason, detail })}`);
      else sink?.write([line ?? '', invoice ?? '', reason, detail].map(csvField).join(','));
      isFirst = false;
    },
    byReason: () => Object.fromEntries([...groups].sort(([, a], [, b]) => b.count - a.count)),
    async close() {
      if (isJson) sink?.write(']');
      await sink?.close();
    },
  };
}

function csvField(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
