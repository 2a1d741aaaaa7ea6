/** Nothing is cut from a log in silence: what operators were told was cut stands in the quarantine of that region. */
import type { Shelf } from './shelf.ts';

const CUT = /entries that were never replicated are quarantined/;

/** @param lines what the region's operators were told */
export function checkQuarantine(
  region: string,
  shelves: readonly Shelf[],
  lines: readonly string[],
  wrong: (what: string) => void,
): void {
  const told = lines
    .filter((line) => CUT.test(line))
    .reduce((sum, line) => sum + (JSON.parse(line) as { readonly entries: number }).entries, 0);
  let kept = 0;
  for (const { host, base } of shelves.filter((shelf) => shelf.region === region)) {
    const log = host.disk.database(`${base}.log.db`, { readOnly: true });
    kept += Number(log.prepare('SELECT count(*) AS rows FROM quarantine').get()?.['rows']);
    log.close();
  }
  if (kept < told) wrong(`${region}: ${told} entries were cut, and ${kept} are in its quarantine`);
}
