/**
 * The files of a log's archive, as its tables know them. A file that no row knows was cut off before it stood, or belongs
 * to another state of the log, that of a backup: it is moved aside, `<name>.stray`, and told, and comes back when a row
 * knows it again. Nothing that this log has not dropped is removed.
 *
 * Whoever opens a partition touches files of older epochs alone: their makers are fenced, so that none of these files can
 * be about to stand, while a later opener's may, whatever was looked up before it.
 */
import { CardumeError, isCardumeError } from '../../base/errors.ts';
import type { Database } from '../../host/disk.ts';
import type { Host } from '../../host/host.ts';
import { nameOf, readName } from '../archive/name.ts';
import type { Segment } from '../archive/segment.ts';
import type { Head } from '../log.ts';
import { folderOf } from './archive.ts';

const ASIDE = '.stray';

/**
 * @param heads as they were raised by this opening
 * @returns paths of the files that were moved aside, or are to be
 * @throws CardumeError `storage-failed` when one is of a longer log than this: an older one was put back, or a new one made
 */
export async function setStraysAside(
  { disk }: Pick<Host, 'disk'>,
  path: string,
  database: Database,
  heads: readonly Head[],
): Promise<string[]> {
  const folder = folderOf(path);
  const names = await disk.list(folder);
  if (names.length === 0) return [];
  const segments = database.prepare('SELECT * FROM segments WHERE partition = ?');
  const position = database.prepare('SELECT position FROM heads WHERE partition = ?');
  const there = new Set(names);
  const byPartition = Map.groupBy(names, (name) => readName(name)?.partition);
  const strays: string[] = [];

  /** @returns where it is now: where it was, when the disk has no room for both */
  async function move(from: string, to: string): Promise<string> {
    const bytes = await disk.read(`${folder}/${from}`);
    if (bytes === null) return to;
    try {
      await disk.write(`${folder}/${to}`, bytes);
    } catch (error) {
      if (!isCardumeError(error, 'storage-failed')) throw error;
      return from;
    }
    await disk.remove(`${folder}/${from}`);
    there.add(to);
    return to;
  }

  for (const { partition, epoch } of heads) {
    const own = byPartition.get(partition) ?? [];
    if (own.length === 0) continue;
    const stand = new Set(segments.all(partition).map((row) => nameOf(row as unknown as Segment)));
    // Behind the list: what stands by now was below this when it was written.
    const last = position.get(partition)?.['position'] as number;
    for (const name of stand) if (!there.has(name) && there.has(name + ASIDE)) await move(name + ASIDE, name);
    for (const name of own) {
      if (stand.has(name) || name.endsWith(ASIDE)) continue;
      const found = readName(name);
      if (found === null) continue;
      if (found.last >= last) throw ofLongerLog(`${folder}/${name}`, path);
      if (found.epoch >= epoch) continue;
      let aside = name + ASIDE;
      for (let i = 2; there.has(aside); i += 1) aside = `${name}.${i}${ASIDE}`;
      strays.push(`${folder}/${await move(name, aside)}`);
    }
  }
  return strays;
}

function ofLongerLog(file: string, path: string): CardumeError {
  return new CardumeError(
    'storage-failed',
    `${file} is of a longer log than ${path}: bring that log back from the same backup, or take the folder away if it is not wanted`,
  );
}
