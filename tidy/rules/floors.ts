/** Inside `platform/src` a folder imports only from rows nearer the ground, or from itself (DESIGN, "The house"). */
import { type House, isTest, type Rule, resolveImport, type Violation } from '../house.ts';

/** From the ground up. Folders that share a row do not know each other. */
const rows: readonly (readonly string[])[] = [
  ['base'],
  ['host'],
  ['database', 'links'],
  ['topology'],
  ['telemetry'],
  ['events'],
  ['cache'],
  ['queue'],
  ['storage'],
  ['discovery'],
  ['identity', 'privacy'],
  ['sharding'],
  ['cqrs'],
  ['regions', 'recovery'],
  ['gateway', 'edge'],
  ['instance'],
  ['scaling', 'deploy'],
  ['testing'],
];

const rowOf = (folder: string): number => rows.findIndex((row) => row.includes(folder));

/** `platform/src/FOLDER/…` → FOLDER; undefined elsewhere; '' for a file outside all folders. */
function folderOf(path: string): string | undefined {
  const match = /^platform\/src\/(?:([^/]+)\/)?[^/]+/.exec(path);
  return match === null ? undefined : (match[1] ?? '');
}

function check(house: House): readonly Violation[] {
  const violations: Violation[] = [];
  for (const { path, imports } of house.sources) {
    const folder = folderOf(path);
    if (folder !== undefined && rowOf(folder) === -1) {
      const message = `'${folder}' has no row: move the file into a folder of the platform, or give the folder a row in tidy/rules/floors.ts and DESIGN`;
      violations.push({ path, line: 1, message });
      continue;
    }
    for (const { specifier, line } of imports) {
      const target = resolveImport(house, path, specifier);
      const targetFolder = target === undefined ? undefined : folderOf(target);
      const report = (message: string): void => void violations.push({ path, line, message });

      if (targetFolder === 'testing' && folder !== 'testing') {
        const mayTest = isTest(path) || path.endsWith('.fixture.ts') || /^(?:sim|bench|docs)\//.test(path);
        if (!mayTest)
          report(
            `imports testing (${specifier}): only *.test.ts, *.fixture.ts, sim and bench may; take the real part, or an interface`,
          );
        continue;
      }
      if (folder === undefined || folder === targetFolder) continue;
      if (folder === 'base' && !isTest(path)) {
        report(
          `base imports ${specifier}: base is pure and stands on nothing; take it as an argument, or move the file up a floor`,
        );
      } else if (targetFolder !== undefined && rowOf(targetFolder) >= rowOf(folder)) {
        const place =
          rowOf(targetFolder) === rowOf(folder) ? 'a neighbour on the same floor' : 'a higher floor';
        report(
          `${folder} imports ${targetFolder} (${specifier}), ${place}: take it as an argument, or move the shared part down a floor`,
        );
      }
    }
  }
  return violations;
}

export const floors: Rule = { name: 'floors', check };
