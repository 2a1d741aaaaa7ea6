/** Once per installation, before the first start: fill the cache of compiled modules (`commands/warm.ts` says why). */
import { join } from 'node:path';
import type { Host } from 'cardume/host';
import { type ChildOptions, startChild } from './child.ts';

/** @param cacheFolder absolute @param start the process that fills it */
export async function warmUp(
  host: Host,
  cacheFolder: string,
  command: Pick<ChildOptions, 'command' | 'environment'>,
): Promise<void> {
  const marker = join(cacheFolder, `warm-${host.env.runtime.replaceAll(/[^\w.]+/g, '-')}`);
  if ((await host.disk.read(marker)) !== null) return;
  const how = await new Promise<string>((resolve) => {
    startChild({ ...command, onReport() {}, onLine() {}, onExit: resolve });
  });
  if (how !== 'exit code 0') return; // what keeps it from loading, the regions will say
  await host.disk.makeFolder(cacheFolder);
  await host.disk.write(marker, '');
}
