/** The file as rows: the header is checked, everything that cannot be read or sold becomes a rejection. */
import { CardumeError } from 'cardume/base/errors';
import { readCsv } from './csv.ts';
import { COLUMNS, type ReadRow, type Row, type RowReader, type RowReason, readHeader } from './row.ts';

export interface RowRejection {
  readonly line: number;
  readonly invoice: string | null;
  readonly reason: RowReason;
  readonly detail: string;
}

export interface RowVisitor {
  sellable(row: Row): void;
  rejected(rejection: RowRejection): void;
}

/**
 * Visits every row in file order; between two batches the caller gets control.
 * @throws CardumeError `invalid-input` when the header is missing or incomplete
 */
export async function* visitRows(
  chunks: AsyncIterable<Uint8Array>,
  visitor: RowVisitor,
): AsyncGenerator<void> {
  let reader: RowReader | undefined;
  for await (const batch of readCsv(chunks)) {
    for (const item of batch) {
      if (reader === undefined) {
        reader = readHeader('fields' in item ? item.fields : [item.detail]);
      } else if ('fault' in item) {
        visitor.rejected({ line: item.line, invoice: null, reason: item.fault, detail: item.detail });
      } else {
        visit(item.line, reader(item.line, item.fields), visitor);
      }
    }
    yield;
  }
  if (reader === undefined) {
    throw new CardumeError(
      'invalid-input',
      `the file is empty: its first line must name the columns ${COLUMNS.join(', ')}`,
    );
  }
}

function visit(line: number, read: ReadRow, visitor: RowVisitor): void {
  if (read.kind === 'sellable') visitor.sellable(read.row);
  else visitor.rejected({ line, invoice: read.invoice, reason: read.reason, detail: read.detail });
}
