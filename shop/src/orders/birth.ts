/**
 * An order is born once for its key, also while its customer moves: requests under a token of the old id and of the new
 * one go to different places, where the key has a name for each id. So the newer passes the key on at the older places
 * before it places anything: it finds what was placed there, or leaves word where the key is now, for whoever comes later.
 * A word leads to the next id, never further: so whoever places under an id has found, or left, a word at the places of all
 * ids before, and where there is a word nothing is ever placed. It does so as long as answers are remembered, which costs a
 * customer who has moved one round trip an order and move.
 */
import { type Place, parseId } from 'cardume/base/id';
import type { Answer } from 'cardume/cqrs/bus';
import type { OperationContext } from 'cardume/gateway/operation';
import { originOf } from 'cardume/identity/principal';
import { movedTo, movesMax } from '../contracts/accounts.ts';
import { asked } from '../contracts/asked.ts';
import { placeBeside } from '../contracts/regions.ts';
import { type OrderCommand, orders } from './order.ts';

/** Where orders of one id are born, and what the request's key is called there. */
interface Cradle {
  readonly place: Place;
  readonly key: OperationContext['key'];
}

/** Places the order, or finds what its key has placed before. */
export async function placed(
  place: Place,
  command: Extract<OrderCommand, { type: 'Place' }>,
  context: OperationContext,
): Promise<Answer> {
  for (const { next: to, ...before } of cradlesBefore(context)) {
    const answer = await bear(before, { type: 'PassOn', to }, context);
    if (movedTo(answer.result) === null) return answer;
  }
  let answer = await bear(ownCradle(place, context), command, context);
  for (let hops = 0; hops < movesMax; hops += 1) {
    const customer = movedTo(answer.result);
    if (customer === null) break;
    answer = await bear(cradleOf(customer, context), { ...command, customer }, context);
  }
  return answer;
}

/** What the request's key has placed before; null: nothing that is remembered. */
export async function placedBefore(place: Place, context: OperationContext): Promise<Answer | null> {
  for (const cradle of [...cradlesBefore(context), ownCradle(place, context)]) {
    let known = await found(cradle, context);
    for (let hops = 0; hops < movesMax && known !== null; hops += 1) {
      const customer = movedTo(known.result);
      if (customer === null) return known;
      known = await found(cradleOf(customer, context), context);
    }
  }
  return null;
}

async function found({ place, key }: Cradle, { bus }: OperationContext): Promise<Answer | null> {
  return key === null ? null : await bus.answered('orders', place, key);
}

function bear({ place, key }: Cradle, command: OrderCommand, context: OperationContext): Promise<Answer> {
  const { bus, ifVersion, newId, trace } = context;
  const options = { ...asked({ key, ifVersion, trace }), born: true };
  return bus.send(orders, newId('ord', place), command, options);
}

/** What staff order is under their key alone, wherever they live. */
function ownCradle(place: Place, context: OperationContext): Cradle {
  const { key, principal } = context;
  return principal.role === 'staff' ? { place, key } : { ...cradleOf(principal.id, context), place };
}

/** Those of the customer's older ids, the oldest first, and the id that came after each, while the key may be remembered there. */
function cradlesBefore(context: OperationContext): readonly (Cradle & { readonly next: string })[] {
  const { key, nowMs, port, principal } = context;
  const { former, role } = principal;
  if (key === null || former === undefined || role === 'staff') return [];
  if (nowMs - former.leftMs > port<number>('answersKeptMs')) return [];
  return former.ids.map((id, i) => ({ ...cradleOf(id, context), next: former.ids[i + 1] ?? principal.id }));
}

function cradleOf(customer: string, { geography, key, principal }: OperationContext): Cradle {
  const place = placeBeside(geography, 'orders', parseId(customer, 'acc'), customer);
  if (key === null || customer === originOf(principal)) return { place, key };
  return { place, key: { ...key, text: `${key.text}/${customer}` } };
}
