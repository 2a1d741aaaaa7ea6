/**
 * Nothing is cut from a log in silence: what operators were told was cut stands in the quarantine of that region. What was
 * submitted again stands in the log, once.
 */
import { markOf } from 'cardume/cqrs/answers';
import { encodeToken } from 'cardume/events/token';
import type { Disk } from 'cardume/host/disk';
import type { Shelf } from './shelf.ts';

/** A shard's log, and its service. */
const LOG = /\/([a-z]+)-\d+\.log\.db$/;
const CUT = /entries that were never replicated are quarantined/;

/**
 * @param files of the region, also of shards that are not its own any more
 * @param lines what the region's operators were told
 */
export function checkQuarantine(
  region: string,
  { disk, files }: { readonly disk: Disk; readonly files: readonly string[] },
  shelves: readonly Shelf[],
  lines: readonly string[],
  wrong: (what: string) => void,
): void {
  const told = lines
    .filter((line) => CUT.test(line))
    .reduce((sum, line) => sum + (JSON.parse(line) as { readonly entries: number }).entries, 0);
  const stand = new Map<string, number>();
  for (const { service, entries } of shelves) {
    for (const { meta } of entries) {
      const mark = markOf(meta);
      if (mark !== null)
        stand.set(`${service.name}/${mark}`, (stand.get(`${service.name}/${mark}`) ?? 0) + 1);
    }
  }
  let kept = 0;
  for (const file of files) {
    const service = LOG.exec(file)?.[1];
    if (service === undefined) continue;
    const log = disk.database(file, { readOnly: true });
    // A shard whose opening was cut off has no tables yet.
    const tables = log.prepare("SELECT 1 FROM sqlite_master WHERE name = 'quarantine'").all();
    const rows = tables.length === 0 ? [] : log.prepare('SELECT * FROM quarantine').all();
    for (const { partition, epoch, position, decided } of rows) {
      kept += 1;
      const token = encodeToken({
        partition: Number(partition),
        epoch: Number(epoch),
        position: Number(position),
      });
      const times = stand.get(`${service}/${token}`) ?? 0;
      // Whoever gave up what may stand already has taken nothing back.
      if (decided === 'resubmitted' ? times !== 1 : times > 1)
        wrong(`${region}: ${service}/${token} was ${decided ?? 'not decided'}, and stands ${times} times`);
    }
    log.close();
  }
  if (kept < told) wrong(`${region}: ${told} entries were cut, and ${kept} are in its quarantine`);
}
