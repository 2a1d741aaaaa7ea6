/**
 * Reads TypeScript just well enough for the rules: which characters are code, and what a file imports.
 * TypeScript 7 offers its syntax tree through an interface that it calls unstable, so this is our own; its limit: a
 * regular expression literal right after `)` is taken for a division.
 */

export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** `import type` and `export type`: erased before anything runs. */
  readonly typeOnly: boolean;
}

export interface Source {
  /** From the root of the house, with `/`. */
  readonly path: string;
  readonly text: string;
  /** `text` with comments and the insides of strings and regular expressions as blanks; same length and lines. */
  readonly code: string;
  readonly imports: readonly Import[];
}

export function scan(path: string, text: string): Source {
  const code = blank(text);
  return { path, text, code, imports: importsOf(text, code) };
}

export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let i = text.indexOf('\n'); i !== -1 && i < offset; i = text.indexOf('\n', i + 1)) line += 1;
  return line;
}

const beforeRegex =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield))$/;

/** Blanks what is not code. The quotes themselves stay, and so does the code inside `${}`. */
export function blank(text: string): string {
  const out = text.split('');
  const blankOut = (from: number, to: number): void => {
    for (let i = from; i < to; i += 1) if (out[i] !== '\n') out[i] = ' ';
  };
  // For each open template, how many braces are open inside its current `${`.
  const templates: number[] = [];
  let at = 0;

  const skipTemplate = (from: number): number => {
    let i = from;
    while (i < text.length && text[i] !== '`') {
      if (text[i] === '\\') i += 1;
      else if (text[i] === '$' && text[i + 1] === '{') {
        blankOut(from, i);
        templates.push(0);
        return i + 2;
      }
      i += 1;
    }
    blankOut(from, Math.min(i, text.length));
    return i + 1;
  };

  while (at < text.length) {
    const char = text[at];
    const next = text[at + 1];
    if (char === '/' && next === '/') {
      const end = text.indexOf('\n', at);
      const to = end === -1 ? text.length : end;
      blankOut(at, to);
      at = to;
    } else if (char === '/' && next === '*') {
      const end = text.indexOf('*/', at + 2);
      const to = end === -1 ? text.length : end + 2;
      blankOut(at, to);
      at = to;
    } else if (char === "'" || char === '"') {
      let i = at + 1;
      while (i < text.length && text[i] !== char && text[i] !== '\n') i += text[i] === '\\' ? 2 : 1;
      blankOut(at + 1, Math.min(i, text.length));
      at = i + 1;
    } else if (char === '`') {
      at = skipTemplate(at + 1);
    } else if (
      char === '/' &&
      beforeRegex.test(
        out
          .slice(Math.max(0, at - 60), at)
          .join('')
          .trimEnd(),
      )
    ) {
      let i = at + 1;
      let inClass = false;
      while (i < text.length && text[i] !== '\n' && (inClass || text[i] !== '/')) {
        if (text[i] === '\\') i += 1;
        else if (text[i] === '[') inClass = true;
        else if (text[i] === ']') inClass = false;
        i += 1;
      }
      blankOut(at + 1, Math.min(i, text.length));
      at = i + 1;
    } else {
      const depth = templates.at(-1);
      if (depth !== undefined && char === '{') templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && char === '}') {
        if (depth === 0) {
          templates.pop();
          at = skipTemplate(at + 1);
          continue;
        }
        templates[templates.length - 1] = depth - 1;
      }
      at += 1;
    }
  }
  return out.join('');
}

/** Everything that makes one module load another, thread modules (`new URL('./x.ts', import.meta.url)`) included. */
const loads =
  /(?<![.\w$])(?:from\s*|import\s*\(\s*|import\s*\.\s*meta\s*\.\s*resolve\s*\(\s*|new\s+URL\s*\(\s*|import\s*)(['"`])/g;

function importsOf(text: string, code: string): readonly Import[] {
  const imports: Import[] = [];
  for (const match of code.matchAll(loads)) {
    const quote = match[1] as string;
    const from = match.index + match[0].length;
    const to = code.indexOf(quote, from);
    const statement = code.slice(code.lastIndexOf(';', match.index) + 1, match.index);
    const heads = [...statement.matchAll(/(?:^|\n)\s*(?:import|export)\b(\s+type\b(?!\s*,|\s*$))?/g)];
    imports.push({
      specifier: text.slice(from, to),
      line: lineOf(text, from),
      typeOnly: match[0].startsWith('from') && heads.at(-1)?.[1] !== undefined,
    });
  }
  return imports;
}
