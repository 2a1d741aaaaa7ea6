/** One concept a file, named by the field's noun. */
import type { House, Rule, Violation } from '../house.ts';
import { lineOf } from '../scan.ts';

const linesMax = 600;

function check(house: House): readonly Violation[] {
  const violations: Violation[] = [];
  for (const { path, text, code } of house.sources) {
    const report = (line: number, message: string): void => void violations.push({ path, line, message });
    const lines = lineOf(text, text.length);
    if (lines > linesMax)
      report(linesMax, `${lines} lines, the bound is ${linesMax}: give the second concept its own file`);

    const parts = path.split('/');
    if (parts.at(-1) === 'index.ts')
      report(1, "index.ts: name the file after its folder, which is the folder's face");
    const folder = parts.slice(0, -1).find((part) => /^(?:utils?|helpers?|common)$/.test(part));
    if (folder !== undefined)
      report(1, `folder '${folder}': put the file into the folder that owns the word, or into base`);

    for (const match of code.matchAll(/\bclass\s+(\w*(?:Manager|Helper|Util|Utils|Factory|Handler))\b/g)) {
      report(
        lineOf(text, match.index),
        `class ${match[1]}: name the thing itself by a noun of the field, or use a function`,
      );
    }
  }
  return violations;
}

export const names: Rule = { name: 'names', check };
