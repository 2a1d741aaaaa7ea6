/** A thread of the fleet: runs the seeds that it is given, one after another, with a bug planted or without. */
import type { Host } from 'cardume/host';
import type { Port } from 'cardume/host/threads';
import { bugNamed, plant } from './planted/planted.ts';
import type { Result } from './run.ts';

export interface SeedsInit {
  readonly bug: string | null;
  /** Three regions that take over from each other. */
  readonly isRegional: boolean;
}

export interface SeedDone {
  readonly result: Result;
  readonly wallMs: number;
}

export async function serve(host: Host, port: Port, { bug, isRegional }: SeedsInit): Promise<void> {
  const waiting: number[] = [];
  let begin: ((seed: number) => Promise<void>) | null = null;
  port.onMessage((seed: number) => {
    if (begin === null) waiting.push(seed);
    else void begin(seed);
  });
  const known = bug === null ? undefined : bugNamed(bug);
  if (known !== undefined) plant(known);
  const { run } = await import('./run.ts');
  begin = async (seed) => {
    const begunMs = host.clock.monotonicMs();
    const { plan: _, happened: __, history: ___, states: ____, ...result } = await run(seed, { isRegional });
    port.post({ result, wallMs: host.clock.monotonicMs() - begunMs } satisfies SeedDone);
  };
  for (const seed of waiting.splice(0)) await begin(seed);
}
