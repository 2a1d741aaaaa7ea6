import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type ImportOptions, importRetail } from './retail.ts';

const folder = mkdtempSync(join(tmpdir(), 'cardume-files-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const CSV = `InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n${'1,A,a,1,2010-12-01,1,c1,Spain\n'.repeat(200)}`;

function fileOf(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('faults that end an import before its first request are said in one sentence', () => {
  const cases: readonly (readonly [name: string, options: Partial<ImportOptions>, expected: RegExp])[] = [
    ['no file', { file: join(folder, 'none.csv') }, /none\.csv does not exist/],
    ['a folder', { file: folder }, /is a folder/],
    [
      'an empty file',
      { file: fileOf('empty.csv', '') },
      /is empty: its first line must name the columns InvoiceNo/,
    ],
    ['another header', { file: fileOf('ab.csv', 'a,b\n1,2\n') }, /lacks InvoiceNo, .* it says: a, b/],
    ['a cut-off gzip', { file: fileOf('cut.gz', gzipSync(CSV).subarray(0, -12)) }, /is cut off or damaged/],
    ['UTF-16', { file: fileOf('wide.csv', Buffer.from(`\ufeff${CSV}`, 'utf16le')) }, /is encoded as UTF-16/],
    ['UTF-16 without a mark', { file: fileOf('bare.csv', Buffer.from(CSV, 'utf16le')) }, /the header lacks/],
    [
      'an address without http',
      { api: 'localhost:8080' },
      /--api localhost:8080: expected an address such as/,
    ],
  ];
  const file = fileOf('good.csv', CSV);
  for (const [name, options, expected] of cases) {
    test(name, async () => {
      const sink = { write() {} };
      const api = 'http://127.0.0.1:9'; // discard: nobody listens, and nobody is asked
      const all: ImportOptions = {
        file,
        api,
        token: 't',
        json: true,
        stdout: sink,
        stderr: sink,
        data: folder,
      };
      await assert.rejects(importRetail({ ...all, ...options }), expected);
    });
  }
});
