/** No file that nothing uses. A file's own test does not count as a user. */
import { type House, isTest, type Rule, resolveImport, type Violation } from '../house.ts';

/** Files that a command or a tool starts. The faces that a package exports by name are entries too. */
const entries: readonly string[] = [
  'cardume.config.ts',
  'bench/baseline-mysql-shop.ts',
  'bench/baseline-shop.ts',
  'bench/bench.ts',
  'bench/dns-server.ts',
  'bench/reference-http.ts',
  'bench/reshard.ts',
  'cli/src/cardume.ts',
  'sim/src/sim.ts',
  'tools/check.ts',
  'tools/engines/engines.ts',
  'tools/errors-page.ts',
];

function check(house: House): readonly Violation[] {
  const used = new Set<string>(entries);
  for (const { folder, exports } of house.packages) {
    for (const target of Object.values(exports)) used.add(`${folder}/${target.replace(/^\.\//, '')}`);
  }
  for (const { path, imports } of house.sources) {
    const tested = path.replace(/\.test\.ts$/, '.ts');
    for (const { specifier } of imports) {
      const target = resolveImport(house, path, specifier);
      if (target !== undefined && target !== tested) used.add(target);
    }
  }
  return house.sources
    .filter(({ path }) => !used.has(path) && !isTest(path) && !path.endsWith('.d.ts'))
    .map(({ path }) => ({
      path,
      line: 1,
      message:
        'nothing but its own test imports it: use it, delete it, or (if a command starts it) name it in tidy/rules/dead.ts',
    }));
}

export const dead: Rule = { name: 'dead files', check };
