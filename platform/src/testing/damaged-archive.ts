import type { Disk } from '../host/disk.ts';

/**
 * Changes a byte in the middle of the first files of a log's archive, as a bad sector does; once more, and they are as they
 * were. @returns how many there are
 */
export async function damageArchive(
  disk: Disk,
  folder: string,
  segmentsMax = Number.POSITIVE_INFINITY,
): Promise<number> {
  const names = (await disk.list(folder)).filter((name) => name.endsWith('.segment'));
  for (const name of names.slice(0, segmentsMax)) {
    const bytes = Uint8Array.from((await disk.read(`${folder}/${name}`)) as Uint8Array);
    const middle = bytes.length >> 1;
    bytes[middle] = (bytes[middle] as number) ^ 1;
    await disk.write(`${folder}/${name}`, bytes);
  }
  return names.length;
}

/** A log in a file forgets its first segment. */
export function loseSegment(disk: Disk, path: string): void {
  const database = disk.database(path);
  database.exec(
    'DELETE FROM segments WHERE (partition, last) IN (SELECT partition, last FROM segments ORDER BY partition, last LIMIT 1)',
  );
  database.close();
}
