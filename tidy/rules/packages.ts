/** Packages point one way (cli → shop → platform), and the shop's services meet only in contracts and events. */
import { type House, type Rule, resolveImport, type Violation } from '../house.ts';

/** What a package may import besides itself. Tools, sim, bench and tidy stand outside and may import any. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  platform: [],
  shop: ['platform'],
  cli: ['platform', 'shop'],
};

const services = ['users', 'products', 'orders'];

/** '' for a file at the root. */
const packageOf = (path: string): string => path.slice(0, Math.max(0, path.indexOf('/')));
const shopFolderOf = (path: string): string | undefined => /^shop\/src\/([^/]+)\//.exec(path)?.[1];

function check(house: House): readonly Violation[] {
  const violations: Violation[] = [];
  for (const { path, imports } of house.sources) {
    const own = packageOf(path);
    for (const { specifier, line } of imports) {
      const target = resolveImport(house, path, specifier);
      if (target === undefined) continue;
      const allowed = mayImport[own];
      const other = packageOf(target);
      if (allowed !== undefined && other !== '' && other !== own && !allowed.includes(other)) {
        const message = `${own} imports ${other} (${specifier}): turn the dependency round; ${own} states an interface and ${other} passes it in`;
        violations.push({ path, line, message });
      }
      const from = shopFolderOf(path);
      const to = shopFolderOf(target);
      if (from === undefined || to === undefined || from === to || !services.includes(to)) continue;
      if (services.includes(from) || from === 'contracts') {
        const message = `${from} imports ${to} (${specifier}): share the type in shop/src/contracts, or react to the event`;
        violations.push({ path, line, message });
      }
    }
  }
  return violations;
}

export const packages: Rule = { name: 'packages', check };
