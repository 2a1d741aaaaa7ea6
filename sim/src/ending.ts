/** Whether everything has come to its end, asked from outside as an operator would. */
import type { Transport } from './transport.ts';

const PAUSE_MS = 250;
const TIMEOUT_MS = 5_000;

/** Until every region answers that no process instance is open: every order and every transfer has ended. */
export async function allEnded(
  regions: readonly string[],
  transport: Transport,
  clock: { sleep(ms: number): Promise<void> },
): Promise<void> {
  for (;;) {
    let open = 0;
    for (const region of regions) {
      const reply = await transport.ask(region, { method: 'GET', path: '/metrics' }, TIMEOUT_MS);
      const match = /^cardume_processes_open (\d+)$/m.exec(String(reply?.body));
      open += match === null ? 1 : Number(match[1]);
    }
    if (open === 0) return;
    await clock.sleep(PAUSE_MS);
  }
}
