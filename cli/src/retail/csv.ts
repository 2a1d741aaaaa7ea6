/**
 * Bytes of a CSV file → records with their line numbers, in batches, with bounded memory.
 *
 * csv-parse alone cannot go on behind a broken record: a quote that is never closed swallows the rest of the file, and
 * bytes that are not UTF-8 become replacement characters. So lines are cut first. Runs of lines whose quotes are
 * balanced go to csv-parse at once; a line with an open quote is joined with those below it, and counts as one record
 * only if csv-parse then agrees that it is one, with the header's number of columns. Otherwise that line alone is
 * faulty, and reading goes on with the next.
 */
import { isUtf8 } from 'node:buffer';
import { CardumeError } from 'cardume/base/errors';
import { CsvError, parse } from 'csv-parse/sync';

export interface CsvRecord {
  /** First line of the record in the file; the header is line 1. */
  readonly line: number;
  readonly fields: readonly string[];
}

export interface CsvFault {
  readonly line: number;
  readonly fault: 'encoding' | 'quotes' | 'columns' | 'too-long';
  readonly detail: string;
}

const recordBytesMax = 65_536;
const recordLinesMax = 20;
const LINE_FEED = 10;
const QUOTE = 34;

/** The first record is the header. Empty lines are left out. @throws CardumeError `invalid-input` for UTF-16 */
export async function* readCsv(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly (CsvRecord | CsvFault)[]> {
  const cutter = new Cutter();
  let rest: Buffer = Buffer.alloc(0);
  let atStart = true;
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    if (atStart) {
      if (rest.length < 3) continue;
      rest = withoutByteOrderMark(rest);
      atStart = false;
    }
    rest = rest.subarray(cutter.take(rest, false));
    yield cutter.drain();
  }
  if (atStart) rest = withoutByteOrderMark(rest);
  cutter.take(rest, true);
  yield cutter.drain();
}

function withoutByteOrderMark(bytes: Buffer): Buffer {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    throw new CardumeError('invalid-input', 'the file is encoded as UTF-16: save it as CSV in UTF-8');
  }
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

class Cutter {
  /** Number of the next line that was not taken yet. */
  #line = 1;
  #columns: number | undefined;
  #skipping = false;
  #found: (CsvRecord | CsvFault)[] = [];

  drain(): readonly (CsvRecord | CsvFault)[] {
    const found = this.#found;
    this.#found = [];
    return found;
  }

  /** @returns how many bytes were taken; the others need what follows */
  take(bytes: Buffer, atEnd: boolean): number {
    let at = 0;
    let runStart = 0;
    let runLines = 0;
    const endRun = (): void => {
      if (runLines > 0) this.#parseRun(bytes.subarray(runStart, at), runLines);
      runLines = 0;
    };
    while (at < bytes.length) {
      const end = lineEnd(bytes, at, atEnd);
      if (end === undefined) {
        if (bytes.length - at <= recordBytesMax) break;
        endRun();
        if (!this.#skipping) this.#tooLong();
        this.#skipping = true;
        return bytes.length;
      }
      if (this.#skipping) {
        this.#skipping = false;
        this.#line += 1;
        at = end;
        runStart = at;
      } else if (end - at > recordBytesMax) {
        endRun();
        this.#tooLong();
        this.#line += 1;
        at = end;
        runStart = at;
      } else if (hasEvenQuotes(bytes, at, end)) {
        if (runLines === 0) runStart = at;
        runLines += 1;
        at = end;
      } else {
        endRun();
        const joined = closeQuotes(bytes, at, atEnd);
        if (joined === 'needs more') return at;
        at = this.#parseJoined(bytes, at, end, joined);
        runStart = at;
      }
    }
    endRun();
    return at;
  }

  #parseRun(bytes: Buffer, lines: number): void {
    const records = isUtf8(bytes) ? parseRecords(bytes) : undefined;
    if (records?.length === lines) {
      for (const fields of records) this.#push(fields, 1);
      return;
    }
    for (let at = 0; at < bytes.length; ) {
      const end = lineEnd(bytes, at, true) as number;
      this.#parseLine(bytes.subarray(at, end));
      at = end;
    }
  }

  #parseLine(bytes: Buffer): void {
    if (!isUtf8(bytes)) {
      this.#fault('encoding', 'the bytes are not UTF-8');
      this.#line += 1;
      return;
    }
    const records = parseRecords(bytes);
    if (records?.length === 1) this.#push(records[0] as string[], 1);
    else this.#brokenQuotes();
  }

  /** @returns where to go on */
  #parseJoined(bytes: Buffer, at: number, firstEnd: number, joined: Joined | undefined): number {
    const all = joined === undefined ? undefined : bytes.subarray(at, joined.end);
    if (joined !== undefined && all !== undefined && isUtf8(all)) {
      const records = parseRecords(all);
      const fields = records?.length === 1 ? records[0] : undefined;
      if (fields !== undefined && fields.length === (this.#columns ?? fields.length)) {
        this.#push(fields, joined.lines);
        return joined.end;
      }
    }
    if (isUtf8(bytes.subarray(at, firstEnd))) this.#brokenQuotes();
    else this.#parseLine(bytes.subarray(at, firstEnd));
    return firstEnd;
  }

  #push(fields: readonly string[], lines: number): void {
    if (fields.length > 1 || fields[0] !== '') {
      this.#columns ??= fields.length;
      if (fields.length === this.#columns) this.#found.push({ line: this.#line, fields });
      else this.#fault('columns', `${fields.length} columns, the header has ${this.#columns}`);
    }
    this.#line += lines;
  }

  #brokenQuotes(): void {
    this.#fault('quotes', 'a quote is opened and not closed; a quote inside a quoted field is written twice');
    this.#line += 1;
  }

  #tooLong(): void {
    this.#fault('too-long', `the line is longer than ${recordBytesMax} bytes; lines end with a line feed`);
  }

  #fault(fault: CsvFault['fault'], detail: string): void {
    this.#found.push({ line: this.#line, fault, detail });
  }
}

/** Where the line ends, behind its line feed; undefined when the bytes end before it does. */
function lineEnd(bytes: Buffer, at: number, atEnd: boolean): number | undefined {
  const feed = bytes.indexOf(LINE_FEED, at);
  if (feed !== -1) return feed + 1;
  return atEnd ? bytes.length : undefined;
}

function hasEvenQuotes(bytes: Buffer, start: number, end: number): boolean {
  const line = bytes.subarray(start, end);
  let quotes = 0;
  for (let at = line.indexOf(QUOTE); at !== -1; at = line.indexOf(QUOTE, at + 1)) quotes += 1;
  return quotes % 2 === 0;
}

interface Joined {
  readonly end: number;
  readonly lines: number;
}

/** The lines from here on that close the quote which the first one leaves open; undefined when they are too many. */
function closeQuotes(bytes: Buffer, start: number, atEnd: boolean): Joined | undefined | 'needs more' {
  let at = lineEnd(bytes, start, atEnd) as number;
  for (let lines = 2; lines <= recordLinesMax; lines += 1) {
    if (at >= bytes.length && atEnd) return undefined;
    const end = lineEnd(bytes, at, atEnd);
    if ((end ?? bytes.length) - start > recordBytesMax) return undefined;
    if (end === undefined) return 'needs more';
    if (!hasEvenQuotes(bytes, at, end)) return { end, lines };
    at = end;
  }
  return undefined;
}

function parseRecords(bytes: Buffer): string[][] | undefined {
  try {
    return parse(bytes, { record_delimiter: ['\r\n', '\n'], relax_column_count: true, relax_quotes: true });
  } catch (error) {
    if (error instanceof CsvError) return undefined; // the caller finds the faulty line and reports it
    throw error;
  }
}
