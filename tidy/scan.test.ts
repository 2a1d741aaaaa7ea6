// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are source text
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { blank, lineOf, scan } from './scan.ts';

const specifiers = (text: string): readonly string[] =>
  scan('a.ts', text).imports.map((found) => found.specifier);

describe('blank', () => {
  const cases: readonly (readonly [text: string, code: string])[] = [
    ['a // b\nc', 'a     \nc'],
    ['a /* b\n b */ c', 'a     \n      c'],
    ["f('a\\'b') + \"c\"", 'f(\'    \') + " "'],
    ['`a${b + `c${d}`}e`;f', '` ${b + ` ${d}`} `;f'],
    ['`${{ a: 1 }.a}b`', '`${{ a: 1 }.a} `'],
    ["x = /'[/]'/g; y", 'x = /     /g; y'],
    ['a / b / c', 'a / b / c'],
    ["return /'/.test(x)", 'return / /.test(x)'],
    ["'//' + a", "'  ' + a"],
    ['', ''],
    ["'open", "'    "],
  ];
  for (const [text, code] of cases) test(JSON.stringify(text), () => assert.equal(blank(text), code));
});

describe('imports', () => {
  test('finds every way to load a module', () => {
    const text = `
      import a from './a.ts';
      import {
        b,
      } from "./b.ts";
      import './c.ts';
      export { d } from './d.ts';
      export * from './e.ts';
      await import('./f.ts');
      import.meta.resolve('./g.ts');
      new URL('./h.ts', import.meta.url);
      type I = import('./i.ts').I;
    `;
    assert.deepEqual(
      specifiers(text),
      [...'abcdefghi'].map((letter) => `./${letter}.ts`),
    );
  });

  test('ignores comments, strings and methods named from', () => {
    assert.deepEqual(
      specifiers("// import './a.ts'\nconst t = \"from './b.ts'\"; Buffer.from('c'); x = { from: 'd' };"),
      [],
    );
  });

  test('knows what is erased', () => {
    const { imports } = scan(
      'a.ts',
      "import type { A } from 'a';\nimport { type B } from 'b'\nexport type { C } from 'c';\nimport type from 'd';",
    );
    assert.deepEqual(
      imports.map((found) => found.typeOnly),
      [true, false, true, false],
    );
    assert.deepEqual(
      imports.map((found) => found.line),
      [1, 2, 3, 4],
    );
  });
});

test('lineOf counts from 1', () => {
  assert.deepEqual(
    [0, 1, 2, 3].map((offset) => lineOf('a\nb\n', offset)),
    [1, 1, 2, 2],
  );
});
