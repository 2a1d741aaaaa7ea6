/**
 * WebAssembly calls tables by signature, and JavaScript functions have none: a tiny module, assembled here, gives them
 * one. It also turns 64-bit integers into doubles on the way: as bigints they would be allocated at each call, and file
 * offsets and counts stay far below 2^53.
 *
 * A signature is the result's letter and those of the parameters: i = i32, l = i64 (a number on the JavaScript side),
 * v = no result. So `iil` is `i32 f(i32, i64)`.
 */
export interface Bridged {
  readonly signature: string;
  readonly call: (...values: number[]) => number | undefined;
}

type Types = Readonly<Record<string, number>>;

const I32 = 0x7f;
const I64 = 0x7e;
const F64 = 0x7c;
const ofWasm: Types = { i: I32, l: I64 };
const ofJavaScript: Types = { i: I32, l: F64 };

/** JavaScript functions as WebAssembly functions, fit for a table. */
export function tableFunctions(functions: Readonly<Record<string, Bridged>>): Record<string, unknown> {
  return assembled(functions, ofJavaScript, ofWasm);
}

/** WebAssembly functions with 64-bit integers as functions of numbers. */
export function numberFunctions(functions: Readonly<Record<string, Bridged>>): Record<string, unknown> {
  return assembled(functions, ofWasm, ofJavaScript);
}

/** Compiled once for all instances. */
const modules = new Map<string, WebAssembly.Module>();

/** Imports the functions with one set of types and exports them with another. */
function assembled(
  functions: Readonly<Record<string, Bridged>>,
  imported: Types,
  exported: Types,
): Record<string, unknown> {
  const names = Object.keys(functions);
  const signatures = names.map((name) => (functions[name] as Bridged).signature);
  const count = names.length;
  const bytes = [
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(
      1,
      2 * count,
      signatures.flatMap((one) => [...typeOf(one, imported), ...typeOf(one, exported)]),
    ),
    ...section(
      2,
      count,
      names.flatMap((name, i) => [...text('m'), ...text(name), 0, ...leb128(2 * i)]),
    ),
    ...section(
      3,
      count,
      names.flatMap((_, i) => leb128(2 * i + 1)),
    ),
    ...section(
      7,
      count,
      names.flatMap((name, i) => [...text(name), 0, ...leb128(count + i)]),
    ),
    ...section(
      10,
      count,
      signatures.flatMap((one, i) => body(one, i, imported, exported)),
    ),
  ];
  const key = bytes.join();
  let compiled = modules.get(key);
  if (compiled === undefined) {
    compiled = new WebAssembly.Module(Uint8Array.from(bytes));
    modules.set(key, compiled);
  }
  const calls = Object.fromEntries(names.map((name) => [name, (functions[name] as Bridged).call]));
  return new WebAssembly.Instance(compiled, { m: calls }).exports;
}

function typeOf(signature: string, types: Types): number[] {
  const [result = 'v', ...parameters] = signature;
  const results = result === 'v' ? [] : [types[result] as number];
  return [
    0x60,
    parameters.length,
    ...parameters.map((letter) => types[letter] as number),
    results.length,
    ...results,
  ];
}

/** Hands the parameters over, each converted, and the result back. */
function body(signature: string, index: number, imported: Types, exported: Types): number[] {
  const [result = 'v', ...parameters] = signature;
  const code = [0];
  for (const [i, letter] of parameters.entries()) code.push(0x20, i, ...converted(letter, imported));
  code.push(0x10, ...leb128(index), ...converted(result, exported), 0x0b);
  return [...leb128(code.length), ...code];
}

function converted(letter: string, to: Types): number[] {
  if (letter !== 'l') return [];
  return to['l'] === I64 ? [0xfc, 0x06] /* i64.trunc_sat_f64_s */ : [0xb9]; /* f64.convert_i64_s */
}

function section(id: number, count: number, content: readonly number[]): number[] {
  const all = [...leb128(count), ...content];
  return [id, ...leb128(all.length), ...all];
}

function text(value: string): number[] {
  return [...leb128(value.length), ...Buffer.from(value)];
}

function leb128(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  do {
    const more = left >= 0x80 ? 0x80 : 0;
    bytes.push((left & 0x7f) | more);
    left >>>= 7;
  } while (left > 0);
  return bytes;
}
