import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type CsvFault, type CsvRecord, readCsv } from './csv.ts';

/** Every text is also cut into single bytes: where a chunk ends must not matter. */
async function read(content: string | Buffer): Promise<(CsvRecord | CsvFault)[]> {
  const bytes = Buffer.from(content as string);
  const whole = await collect([bytes]);
  assert.deepEqual(await collect(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))), whole);
  return whole;
}

async function collect(chunks: readonly Uint8Array[]): Promise<(CsvRecord | CsvFault)[]> {
  const found: (CsvRecord | CsvFault)[] = [];
  for await (const batch of readCsv(stream(chunks))) found.push(...batch);
  return found;
}

async function* stream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** `line: field|field` and `line! fault` */
const shown = (found: readonly (CsvRecord | CsvFault)[]): string[] =>
  found.map((item) =>
    'fault' in item ? `${item.line}! ${item.fault}` : `${item.line}: ${item.fields.join('|')}`,
  );

describe('readCsv', () => {
  const cases: Readonly<Record<string, readonly [content: string, expected: readonly string[]]>> = {
    'line feeds, with and without carriage returns, none at the end': [
      'a,b\r\n1,2\n3,4',
      ['1: a|b', '2: 1|2', '3: 3|4'],
    ],
    'quoted commas, quotes and line breaks': [
      'a,b\n"1,0","say ""7"""\n"two\nlines",x\ny,z\n',
      ['1: a|b', '2: 1,0|say "7"', '3: two\nlines|x', '5: y|z'],
    ],
    'empty lines count as lines only': ['a,b\n\n\r\n1,2\n', ['1: a|b', '4: 1|2']],
    'a byte order mark': ['\ufeffa,b\n1,2\n', ['1: a|b', '2: 1|2']],
    'too few and too many columns': [
      'a,b\n1\n1,2,3\n4,5\n',
      ['1: a|b', '2! columns', '3! columns', '4: 4|5'],
    ],
    'a quote that is never closed costs its own line only': [
      'a,b\n"1,2\n3,4\n5,6\n',
      ['1: a|b', '2! quotes', '3: 3|4', '4: 5|6'],
    ],
    'two inch marks in different rows cost these rows only': [
      'a,b\nx,6" ruler\n3,4\ny,7" ruler\n5,6\n',
      ['1: a|b', '2! quotes', '3: 3|4', '4! quotes', '5: 5|6'],
    ],
    'two quotes within a field stand for themselves': [
      'a,b\nx,a "big" one\n',
      ['1: a|b', '2: x|a "big" one'],
    ],
    'an even line whose quotes do not match': ['a,b\nx"y,"z\n3,4\n', ['1: a|b', '2! quotes', '3: 3|4']],
    nothing: ['', []],
  };
  for (const [name, [content, expected]] of Object.entries(cases)) {
    test(name, async () => assert.deepEqual(shown(await read(content)), expected));
  }

  test('a row that is not UTF-8 is faulty, its neighbours are not', async () => {
    const latin1 = Buffer.concat([
      Buffer.from('a,b\n£1,ok\n'),
      Buffer.from('£2,bad\n', 'latin1'),
      Buffer.from('3,ok\n'),
    ]);
    assert.deepEqual(shown(await read(latin1)), ['1: a|b', '2: £1|ok', '3! encoding', '4: 3|ok']);
  });

  test('an endless line is passed over with bounded memory', async () => {
    const long = Buffer.alloc(50_000, 'x');
    const chunks = [Buffer.from('a,b\n'), long, long, long, Buffer.from('\n1,2\n')];
    assert.deepEqual(shown(await collect(chunks)), ['1: a|b', '2! too-long', '3: 1|2']);
  });

  test('UTF-16 is named', async () => {
    await assert.rejects(collect([Buffer.from('\ufeffa,b\n', 'utf16le')]), /UTF-16: save it as CSV in UTF-8/);
  });
});
