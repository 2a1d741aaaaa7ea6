/** The report of a drill: one page that stands alone, and the same as JSON, under the drill's name and its time. */
import { join } from 'node:path';
import type { Host } from 'cardume/host';
import type { Outcome } from './outcome.ts';
import { pageOf } from './page.ts';

/** @returns the path of the page */
export async function writeReport({ disk }: Host, folder: string, outcome: Outcome): Promise<string> {
  await disk.makeFolder(folder);
  const name = join(folder, `${outcome.drill}-${outcome.begun.replaceAll(/[:.]/g, '-')}`);
  await disk.write(`${name}.json`, `${JSON.stringify(outcome, null, 1)}\n`);
  await disk.write(`${name}.html`, pageOf(outcome));
  return `${name}.html`;
}
