/**
 * Carries rights to sell from one region's stock to another's: the giver was debited in a committed event, now the
 * receiver is credited, once however often it is tried. Until then they are in transit and no one can sell them.
 */
import type { Bus } from 'cardume/cqrs/bus';
import { process } from 'cardume/cqrs/process';
import type { StockCommand } from '../contracts/stock.ts';
import { type StockEvent, stock, stocks } from './stock.ts';

interface Transfers {
  readonly open: Map<string, { readonly to: string; readonly quantity: number }>;
}

export const transfers = process<Transfers, StockEvent, StockCommand>({
  name: 'transfers',
  of: stock,
  startsOn: ['TransferSent'],
  initial: () => ({ open: new Map() }),
  evolve(state, event) {
    if (event.type === 'TransferSent')
      state.open.set(event.transfer, { to: event.to, quantity: event.quantity });
    if (event.type === 'TransferSettled') state.open.delete(event.transfer);
    return state;
  },
  ended: ({ open }) => open.size === 0,
  react: ({ open }, from) =>
    [...open].map(([transfer, { to, quantity }]) => ({
      key: transfer,
      kind: 'work',
      async run({ bus }) {
        await receive(bus, to, { transfer, from, quantity });
        return { type: 'SettleTransfer', transfer };
      },
    })),
});

/** Once, whoever carries it and however often. */
export async function receive(
  bus: Bus,
  to: string,
  sent: { readonly transfer: string; readonly from: string; readonly quantity: number },
): Promise<void> {
  const key = { text: `${sent.transfer}/receive`, fingerprint: `${to} ${sent.quantity}` };
  await bus.send(stocks, to, { type: 'ReceiveTransfer', ...sent }, { key });
}
