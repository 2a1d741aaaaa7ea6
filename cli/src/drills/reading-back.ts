/** Whether what the platform acknowledged is there: every write, one by one. */
import type { Answered } from '../api.ts';
import type { Clients } from './clients.ts';
import type { Keys } from './keys.ts';
import type { Acknowledged } from './record.ts';
import { together } from './stage.ts';
import type { AckedWrite, ReadBack } from './traffic.ts';

const TOGETHER = 16;

export async function readBack(
  writes: readonly AckedWrite[],
  clients: Clients,
  keys: Keys,
): Promise<readonly Acknowledged[]> {
  return together(
    writes.map(({ again, ...write }) => async () => ({ ...write, found: await find(again, clients, keys) })),
    TOGETHER,
  );
}

async function find(again: ReadBack, clients: Clients, keys: Keys): Promise<Acknowledged['found']> {
  const get = (path: string): Promise<Answered | null> => clients.sendUnseen({ method: 'GET', path });
  switch (again.by) {
    case 'row':
      return presence(await get(again.path));
    case 'replay': {
      const answered = await clients.sendUnseen(again.call);
      if (answered === null || answered.status >= 300) return 'unknown';
      return answered.replayed === true ? 'there' : 'lost';
    }
    case 'account': {
      const there = presence(await get(`/users/${again.id}`));
      if (there !== 'there') return there;
      const { email, country } = again;
      const body = { name: 'Drill', country, email };
      const taken = await clients.sendUnseen({ method: 'POST', path: '/users', body, key: keys.unique() });
      if (taken === null || taken.status >= 500) return 'unknown';
      return taken.status === 409 ? 'there' : 'lost';
    }
  }
}

function presence(answered: Answered | null): Acknowledged['found'] {
  if (answered?.status === 200) return 'there';
  return answered?.status === 404 ? 'lost' : 'unknown';
}

const FINAL: ReadonlySet<string> = new Set(['confirmed', 'rejected', 'cancelled']);
const LOOK_AGAIN_MS = 200;

/** Waits until the orders have ended. @returns how many have not, of those that are there */
export async function settle(
  orders: readonly string[],
  clients: Clients,
  sleep: (ms: number) => Promise<void>,
  msMax: number,
): Promise<number> {
  let open = [...orders];
  for (let waitedMs = 0; ; waitedMs += LOOK_AGAIN_MS) {
    const still = await together(
      open.map((id) => async () => {
        const answered = await clients.sendUnseen({ method: 'GET', path: `/orders/${id}` });
        const { status = '' } = (answered?.body ?? {}) as { readonly status?: string };
        return answered?.status === 404 || FINAL.has(status) ? [] : [id];
      }),
      TOGETHER,
    );
    open = still.flat();
    if (open.length === 0 || waitedMs >= msMax) return open.length;
    await sleep(LOOK_AGAIN_MS);
  }
}
