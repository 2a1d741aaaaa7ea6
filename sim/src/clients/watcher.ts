/**
 * Looks at one account in all regions in turn, many times a second, while its name is changed: a region that was replaced
 * and does not know it tells something old. And it looks up one price in the region, content with something a little old,
 * while the price grows elsewhere: copies that lag behind must not be told. Whoever does not answer at once is left alone.
 */
import type { RandomStream } from 'cardume/testing/simulated/stream';
import type { Request, Transport } from '../transport.ts';
import { Client, type Ground, type Told } from './client.ts';

const TIMEOUT_MS = 300;
const LOOK_MS = 50;
const CHANGE_MS = 200;
/** What a price may be old. */
const STALE_MS = 100;

export class Watcher {
  readonly client: Client;
  readonly #region: string;
  readonly #country: string;
  readonly #transport: Transport;
  readonly #tokenOf: (account: string) => string;

  /**
   * @param region where the account is to be at home
   * @param country of the region
   * @param tokenOf that all regions take, whatever their clocks say
   */
  constructor(
    name: string,
    ground: Ground,
    transport: Transport,
    stream: RandomStream,
    region: string,
    country: string,
    tokenOf: (account: string) => string,
  ) {
    this.client = new Client(name, ground, transport, stream);
    this.#region = region;
    this.#country = country;
    this.#transport = transport;
    this.#tokenOf = tokenOf;
  }

  async live(): Promise<void> {
    await Promise.all([this.#watchAccount(), this.#watchPrice()]);
  }

  /** What is written in the region itself, when it is alone, would wait for another, and all looks with it. */
  get #others(): readonly string[] {
    return this.client.ground.regions.filter((region) => region !== this.#region);
  }

  async #untilOver(everyMs: number, work: (times: number) => Promise<void>): Promise<void> {
    const { clock, isOver } = this.client.ground;
    for (let times = 1; !isOver(); times += 1) {
      await work(times);
      await clock.sleep(everyMs);
    }
  }

  async #watchAccount(): Promise<void> {
    const { client } = this;
    const { name, ground } = client;
    const body = { name, country: this.#country, email: `${name}@example.com`, password: 'many-small-fish' };
    const request: Request = { method: 'POST', path: '/users', key: `${name}-1`, body };
    const told = await client.tell('register', request, [201]);
    if (told.reply === null) return;
    const id = told.reply.body.id as string;
    const [path, token] = [`/users/${id}`, this.#tokenOf(id)];
    client.seen(id, told);
    const { regions } = ground;
    const seen = async (region: string, asked: Request): Promise<void> => {
      const answer = await this.#ask(region, asked);
      if (answer !== null) client.seen(id, answer);
    };
    await Promise.all([
      this.#untilOver(LOOK_MS, (times) =>
        seen(regions[times % regions.length] as string, { method: 'GET', path, token }),
      ),
      this.#untilOver(CHANGE_MS, (times) =>
        seen(client.one(this.#others), { method: 'PATCH', path, token, body: { name: `${name} ${times}` } }),
      ),
    ]);
  }

  async #watchPrice(): Promise<void> {
    const { client } = this;
    const { name, ground } = client;
    const category = name;
    const token = ground.staffToken;
    const priceOf = (amount: number) => ({ amount: `${amount}.00`, currency: 'GBP' });
    const body = { sku: name.toUpperCase(), name, category, price: priceOf(1) };
    const listed: Request = { method: 'POST', path: '/products', key: `${name}-2`, token, body };
    const told = await client.tell('list a product', listed, [201]);
    if (told.reply === null) return;
    const path = `/products/${told.reply.body.id}`;
    const acknowledged = [{ price: 1, untilMs: told.untilMs }];
    /** They may come late, behind others. */
    const unanswered = new Set<number>();
    const find: Request = { method: 'GET', path: `/products?category=${category}`, staleMs: STALE_MS };
    await Promise.all([
      this.#untilOver(CHANGE_MS, async (times) => {
        const price = times + 1;
        const asked: Request = { method: 'PATCH', path, token, body: { price: priceOf(price) } };
        const answer = await this.#ask(client.one(this.#others), asked);
        if (answer === null) unanswered.add(price);
        else acknowledged.push({ price, untilMs: answer.untilMs });
      }),
      this.#untilOver(LOOK_MS, async () => {
        const answer = await this.#ask(this.#region, find);
        if (answer === null) return;
        const sinceMs = answer.fromMs - STALE_MS;
        const least = acknowledged.findLast(({ untilMs }) => untilMs < sinceMs)?.price ?? 0;
        const shown = Number(answer.reply?.body.items[0]?.price.amount ?? 0);
        if (shown < least && !unanswered.has(shown))
          ground.wrong(
            `${name}: a price may be ${STALE_MS} ms old, and is ${shown} where ${least} was told before`,
          );
      }),
    ]);
  }

  /** @returns null when it was not answered at once */
  async #ask(region: string, request: Request): Promise<Told | null> {
    const { client } = this;
    const { elapsedMs, note } = client.ground;
    const fromMs = elapsedMs();
    const reply = await this.#transport.ask(region, request, TIMEOUT_MS);
    if (reply === null) return null;
    const untilMs = elapsedMs();
    note(`${client.name} ${request.method} ${reply.status} ${JSON.stringify(reply.body)}`);
    if (reply.status === 200) return { reply, fromMs, lastFromMs: fromMs, untilMs, attempts: 1, region };
    if (reply.status !== 503)
      client.ground.wrong(
        `${client.name}: ${request.method} was answered ${reply.status} ${JSON.stringify(reply.body)}`,
      );
    return null;
  }
}
