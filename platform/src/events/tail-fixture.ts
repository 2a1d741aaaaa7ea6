/** A tail for tests: remembers what it saw, and misbehaves when an entry's type says so. */
import type { Host } from '../host/host.ts';
import type { Entry } from './log.ts';
import type { Tail, TailSource } from './tail.ts';

interface Init {
  readonly greeting: string;
  readonly failToOpen?: boolean;
  /** It does not open while there is such a file. */
  readonly failWhile?: string;
}

export async function openTail(host: Host, init: Init, source: TailSource): Promise<Tail> {
  await Promise.resolve();
  const hasObstacle = init.failWhile !== undefined && (await host.disk.read(init.failWhile)) !== null;
  if (init.failToOpen === true || hasObstacle) throw new Error('the tail does not open');
  const seen: string[] = [];
  const note = (entry: Entry): void => void seen.push(`${entry.partition}:${entry.position}:${entry.stream}`);
  for (const head of source.heads()) {
    let page: Entry[];
    let after = 0;
    do {
      page = await source.read(head.partition, after, 2);
      page.forEach(note);
      after = page.at(-1)?.position ?? after;
    } while (page.length > 0);
  }
  return {
    commit(entries) {
      entries.forEach(note);
      if (entries.some((entry) => entry.type === 'Throws')) throw new Error('the tail threw');
      if (entries.some((entry) => entry.type === 'Uncloneable')) return () => undefined;
      return { folded: entries.length, greeting: init.greeting };
    },
    ask(message: { readonly what: string }) {
      switch (message.what) {
        case 'seen':
          return seen;
        case 'later':
          return Promise.resolve('later');
        default:
          throw new Error(`the tail does not know '${message.what}'`);
      }
    },
    close: () => undefined,
  };
}
