/** Customers: they order, cancel, and look at what they have, several hands at once. */

import type { RandomStream } from 'cardume/testing/simulated/stream';
import type { OrderAsked } from '../history.ts';
import { listed } from '../history.ts';
import type { Reply, Request, Transport } from '../transport.ts';
import type { Client, Ground, Told } from './client.ts';
import { Member } from './member.ts';

const PAGE = 20;
/** What a list may be old. */
const STALE_MS = [20, 200, 2_000] as const;
const FINAL = new Set(['confirmed', 'rejected', 'cancelled']);

/** Where an order may go from a status, however many steps it takes. */
const AFTER: Readonly<Record<string, readonly string[]>> = {
  placed: ['placed', 'paying', 'confirmed', 'rejected', 'cancelling', 'cancelled'],
  paying: ['paying', 'confirmed', 'rejected', 'cancelling', 'cancelled'],
  confirmed: ['confirmed', 'cancelling', 'cancelled'],
  cancelling: ['cancelling', 'cancelled'],
  rejected: ['rejected'],
  cancelled: ['cancelled'],
};

export interface Own {
  readonly asked: OrderAsked;
  readonly id: string;
  /** The status that was seen last, and when the look at it ended. */
  status: string;
  statusMs: number;
  /** Token of the answer that told of it. */
  readonly seen: string;
}

export class Customer {
  readonly member: Member;
  readonly client: Client;
  readonly #products: readonly string[];
  readonly orders: Own[] = [];

  /** @param emails several customers want the same */
  constructor(
    name: string,
    ground: Ground,
    transport: Transport,
    stream: RandomStream,
    products: readonly string[],
    emails: readonly string[],
  ) {
    this.member = new Member(name, ground, transport, stream, emails);
    this.client = this.member.client;
    this.#products = products;
  }

  /** Lives until the ground is over. @param hands how many things it does at once */
  async live(hands: number): Promise<void> {
    const { ground } = this.client;
    while (this.member.id === null && !ground.isOver()) await this.member.register();
    if (this.member.id === null) return;
    await Promise.all(
      Array.from({ length: hands }, async () => {
        while (!ground.isOver()) {
          await this.#something();
          await this.client.think();
        }
      }),
    );
  }

  #something(): Promise<void> {
    const what = this.client.stream.below(100);
    if (this.client.ground.isRush || what < 50 || this.orders.length === 0) return this.#order();
    if (what < 67) return this.#look(this.client.one(this.orders)).then(() => undefined);
    if (what < 75) return this.#cancel(this.client.one(this.orders));
    if (what < 79) return this.#list();
    if (what < 83 && this.client.ground.canMove) return this.#moveAway();
    if (what < 86) return this.member.newcomer();
    if (what < 91) return this.member.renameAndLook();
    if (what < 96) return this.member.lookAtSelf();
    return this.#lookAtProduct();
  }

  async #order(paidWith?: string): Promise<void> {
    const { client } = this;
    const { ground } = client;
    const lines = Array.from({ length: 1 + client.stream.below(3) }, () => ({
      product: client.one(this.#products),
      quantity: 1 + client.stream.below(3),
    }));
    const drawn = client.stream.below(100);
    const token =
      paidWith ??
      (drawn < 76 ? 'tok_approve' : drawn < 84 ? 'tok_decline' : drawn < 95 ? 'tok_late' : 'tok_timeout');
    const key = this.member.key();
    const body = { lines, payment: { method: 'card', token }, country: this.member.country };
    const asked: OrderAsked = {
      client: client.name,
      fromMs: ground.elapsedMs(),
      untilMs: Number.POSITIVE_INFINITY,
      key,
      customer: this.member.id as string,
      body,
      answer: null,
      others: [],
    };
    ground.history.orders.push(asked);
    const request: Request = { method: 'POST', path: '/orders', key, body };
    const twins = client.chance(10) ? 2 : 1;
    const told = await Promise.all(
      Array.from({ length: twins }, () => this.member.tell('place', request, [201])),
    );
    for (const one of told) if (one.reply !== null) this.#placed(asked, one);
    if (asked.answer === null || ground.isRush) return;
    // Who has just ordered looks at once, and more than once.
    const own = this.orders.at(-1);
    for (let looks = client.stream.below(4); own !== undefined && looks > 0; looks -= 1)
      await this.#look(own);
    if (client.chance(12)) await this.#list();
    if (own !== undefined && client.chance(12)) await this.#listWith(own);
    if (client.chance(4)) await this.#reuse(asked);
  }

  #placed(asked: OrderAsked, told: Told): void {
    const reply = told.reply as Reply;
    const id = (reply.body.id as string | undefined) ?? null;
    if (asked.answer !== null) {
      if (this.#mayLose && id !== null && asked.answer.id !== id) asked.others.push(id);
      else if (asked.answer.id !== id)
        this.client.ground.wrong(`${this.client.name}: key ${asked.key} made ${asked.answer.id} and ${id}`);
      return;
    }
    asked.answer = { status: reply.status, id };
    asked.untilMs = told.untilMs;
    if (id === null) return;
    const seen = reply.headers['cardume-token'] as string;
    this.orders.push({ asked, id, status: 'placed', statusMs: told.untilMs, seen });
  }

  get #mayLose(): boolean {
    return this.client.ground.mayLoseOrders;
  }

  /** It is wrong, unless the order was lost with its region. */
  #doubt(id: string, what: string, isGone = false): void {
    if (this.#mayLose) this.client.ground.history.doubts.push({ id, what, isGone });
    else this.client.ground.wrong(what);
  }

  /** There is no such order: it must have been lost, and nobody asks for it any more. */
  #gone({ id }: Own, operation: string, { untilMs }: Told): void {
    this.#doubt(id, `${operation} found nothing of ${id} at ${untilMs} ms, which was acknowledged`, true);
    const at = this.orders.findIndex((one) => one.id === id);
    if (at >= 0) this.orders.splice(at, 1);
  }

  /** The same key with another body must be refused, and change nothing. */
  async #reuse(asked: OrderAsked): Promise<void> {
    const { key } = asked;
    const lines = [{ product: this.client.one(this.#products), quantity: 999 }];
    const body = { ...(asked.body as object), lines };
    const request: Request = { method: 'POST', path: '/orders', key, body };
    const told = await this.member.tell('place again', request, this.#mayLose ? [201, 422] : [422]);
    if (told.reply?.status === 201) {
      this.#doubt(asked.answer?.id as string, `${key} was used again for another order`, true);
      asked.others.push(told.reply.body.id as string);
    } else if (told.reply !== null)
      this.client.ground.coverage.reached('a key was reused with another body and refused');
  }

  /** @returns whether it was answered */
  async #look(own: Own): Promise<boolean> {
    const request: Request = { method: 'GET', path: `/orders/${own.id}` };
    const told = await this.member.tell('look', request, this.#mayLose ? [200, 404] : [200]);
    if (told.reply === null) return false;
    if (told.reply.status === 404) {
      this.#gone(own, 'a look', told);
      return false;
    }
    this.client.seen(own.id, told);
    this.#sawStatus(own, told.reply.body.status as string, told);
    const { lines } = own.asked.body as { lines: { product: string; quantity: number }[] };
    const got = told.reply.body.lines as { product: string; quantity: number }[];
    const text = (all: readonly { product: string; quantity: number }[]): string =>
      all.map(({ product, quantity }) => `${quantity} ${product}`).join();
    if (text(lines) !== text(got))
      this.client.ground.wrong(`${own.id} holds ${text(got)}, ordered ${text(lines)}`);
    return true;
  }

  #sawStatus(own: Own, status: string, { lastFromMs, untilMs }: Told): void {
    // Looks that overlapped may have ended in another order.
    if (lastFromMs < own.statusMs) return;
    if (!(AFTER[own.status] ?? []).includes(status))
      this.#doubt(
        own.id,
        `${own.id} was ${own.status} at ${own.statusMs} ms, and ${status} at ${untilMs} ms`,
      );
    own.status = status;
    own.statusMs = untilMs;
  }

  async #cancel(own: Own): Promise<void> {
    const key = this.member.key();
    const request: Request = { method: 'POST', path: `/orders/${own.id}/cancel`, key };
    const told = await this.member.tell('cancel', request, this.#mayLose ? [202, 404, 409] : [202, 409]);
    if (told.reply === null) return;
    if (told.reply.status === 404) this.#gone(own, 'a cancellation', told);
    if (told.reply.status === 409 && told.lastFromMs >= own.statusMs && own.status === 'confirmed')
      this.#doubt(own.id, `${own.id} was confirmed, and could not be cancelled`);
    if (told.reply.status === 202) this.#sawStatus(own, told.reply.body.status as string, told);
  }

  /** Everything that was acknowledged before must be there; or, for who is content with it, some time before. */
  async #list(): Promise<void> {
    const staleMs = this.client.chance(50) ? 0 : this.client.one(STALE_MS);
    const found = await this.#listed(staleMs);
    if (found === null) return;
    const { elements, fromMs } = found;
    const isOld = this.orders.some(({ id, asked }) => asked.untilMs < fromMs && !elements.includes(id));
    if (isOld) this.client.ground.coverage.reached('a list was as old as it might be');
  }

  /** However old the rest may be: whoever shows the token of a write sees it. */
  async #listWith({ id, seen }: Own): Promise<void> {
    const found = await this.#listed(60_000, { id, seen });
    if (found !== null && !found.elements.includes(id))
      this.#doubt(id, `${this.client.name}: a list that was to have ${id} lacks it`, true);
  }

  /** @param written a write that must be in it, unless it was lost with its region */
  async #listed(staleMs: number, written?: Pick<Own, 'id' | 'seen'>) {
    const { ground, name: client } = this.client;
    const found: string[] = [];
    let fromMs = 0;
    let after = '';
    for (let pages = 0; pages < 200; pages += 1) {
      const path = `/orders?limit=${PAGE}${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`;
      const request: Request = {
        method: 'GET',
        path,
        staleMs: staleMs === 0 ? undefined : staleMs,
        seen: written?.seen,
      };
      // What may be old is told by the copies of any region.
      const regionOf = staleMs === 0 ? undefined : () => this.client.anywhere();
      const expected = this.#mayLose && written !== undefined ? [200, 400] : [200];
      const told = await this.member.tell('list', request, expected, false, regionOf);
      if (told.reply === null) return null;
      if (told.reply.status === 400) {
        this.#doubt((written as Own).id, `${client}: the token of ${written?.id} was refused`);
        return null;
      }
      if (after === '') fromMs = told.lastFromMs;
      found.push(...(told.reply.body.items as { id: string }[]).map(({ id }) => id));
      if (told.reply.body.next === null) break;
      after = told.reply.body.next as string;
    }
    const untilMs = ground.elapsedMs();
    const list = { client, elements: found, fromMs, untilMs, staleMs };
    listed(ground.history.lists, this.member.id as string).push(list);
    return list;
  }

  /** Mostly while other hands write: they may meet the account anywhere. */
  async #moveAway(): Promise<void> {
    const moving = this.member.moveAway();
    if (this.client.chance(60)) await Promise.all([this.member.renameAndLook(), this.#order()]);
    await moving;
  }

  async #lookAtProduct(): Promise<void> {
    const id = this.client.one(this.#products);
    const told = await this.client.tell('look at product', { method: 'GET', path: `/products/${id}` }, [200]);
    if (told.reply !== null) this.client.seen(id, told);
  }

  /** In a world that is whole again, everything can be done. */
  async goOn(): Promise<void> {
    for (let tries = 0; this.member.id === null && tries < 10; tries += 1) await this.member.register();
    if (this.member.id === null) return; // every address belongs to somebody
    await this.#order('tok_approve');
    await this.member.renameAndLook();
    await this.member.newcomer();
  }

  /** At the end: whatever was acknowledged is there, has ended, and its key gives the same answer. */
  async conclude(): Promise<void> {
    const { ground } = this.client;
    if (this.member.id === null) return;
    for (const own of [...this.orders]) {
      if (!(await this.#look(own))) continue;
      if (!FINAL.has(own.status)) ground.wrong(`${own.id} has not ended: it is ${own.status}`);
      if (!this.client.chance(25)) continue;
      const request: Request = { method: 'POST', path: '/orders', key: own.asked.key, body: own.asked.body };
      const told = await this.member.tell('place at the end', request, [201]);
      if (told.reply === null) continue;
      if (told.reply.body.id !== own.id)
        ground.wrong(`key ${own.asked.key} made ${own.id}, and ${told.reply.body.id} later`);
      if (told.reply.headers['idempotency-replayed'] !== 'true')
        ground.wrong(`key ${own.asked.key} of ${own.id} was not known any more`);
      else ground.history.replayed.push(own.id);
    }
    await this.#list();
    await this.member.lookAtSelf();
  }
}
