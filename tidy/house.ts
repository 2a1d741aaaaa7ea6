/** What the rules look at: every source of the house, and where its imports lead. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Source, scan } from './scan.ts';

export interface Package {
  readonly name: string;
  /** Folder of the package, from the root. */
  readonly folder: string;
  readonly exports: Readonly<Record<string, string>>;
}

export interface House {
  readonly sources: readonly Source[];
  readonly packages: readonly Package[];
}

export interface Violation {
  readonly path: string;
  readonly line: number;
  /** What is wrong, and what to write instead. */
  readonly message: string;
}

/** Tells a rule's sample from the house's own files: `check` is a pure function. */
export interface Rule {
  readonly name: string;
  readonly check: (house: House) => readonly Violation[];
}

export const isTest = (path: string): boolean => path.endsWith('.test.ts');

const folders = '{platform,shop,cli,sim,bench,tidy,tools}/**/*.ts';
export const root = fileURLToPath(new URL('..', import.meta.url));

export function readHouse(): House {
  const paths = [
    ...globSync(folders, { cwd: root, exclude: (path) => path.split(/[\\/]/).includes('node_modules') }),
    ...globSync('*.ts', { cwd: root }),
  ].map((path) => path.replaceAll('\\', '/'));
  const sources = paths.sort().map((path) => scan(path, readFileSync(`${root}/${path}`, 'utf8')));
  const packages = ['platform', 'shop', 'cli', 'sim']
    .filter((folder) => existsSync(`${root}/${folder}/package.json`))
    .map((folder) => ({ folder, ...JSON.parse(readFileSync(`${root}/${folder}/package.json`, 'utf8')) }))
    .map(({ folder, name, exports = {} }): Package => ({ folder, name, exports }));
  return { sources, packages };
}

/** The path of the house's file that an import loads, or undefined for `node:` and npm packages. */
export function resolveImport(house: House, from: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) {
    return new URL(specifier, `file:///${from}`).pathname.slice(1);
  }
  for (const { name, folder, exports } of house.packages) {
    if (specifier !== name && !specifier.startsWith(`${name}/`)) continue;
    const subpath = `.${specifier.slice(name.length)}`;
    const target = exports[subpath] ?? exports['./*']?.replace('*', subpath.slice(2));
    return target === undefined ? undefined : `${folder}/${target.replace(/^\.\//, '')}`;
  }
  return undefined;
}
