/**
 * Looks at one account in all regions in turn, many times a second, while its name is changed: a region that was replaced
 * and does not know it tells something old. Whoever does not answer at once is left alone.
 */
import type { RandomStream } from 'cardume/testing/simulated/stream';
import type { Request, Transport } from '../transport.ts';
import { Client, type Ground } from './client.ts';

const TIMEOUT_MS = 300;
const LOOK_MS = 50;
const RENAME_MS = 200;

export class Watcher {
  readonly client: Client;
  readonly #region: string;
  readonly #country: string;
  readonly #transport: Transport;
  readonly #tokenOf: (account: string) => string;
  #id = '';
  #token = '';

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
    const { client } = this;
    const { name, ground } = client;
    const body = { name, country: this.#country, email: `${name}@example.com`, password: 'many-small-fish' };
    const request: Request = { method: 'POST', path: '/users', key: `${name}-1`, body };
    const told = await client.tell('register', request, [201]);
    if (told.reply === null) return;
    this.#id = told.reply.body.id as string;
    this.#token = this.#tokenOf(this.#id);
    client.seen(this.#id, told);
    const { regions, clock, isOver } = ground;
    // What is written in the region itself, when it is alone, would wait for another, and all looks with it.
    const others = regions.filter((region) => region !== this.#region);
    const looking = async (): Promise<void> => {
      for (let looks = 0; !isOver(); looks += 1) {
        await this.#ask('GET', regions[looks % regions.length] as string);
        await clock.sleep(LOOK_MS);
      }
    };
    const renaming = async (): Promise<void> => {
      for (let names = 0; !isOver(); names += 1) {
        await this.#ask('PATCH', client.one(others), { name: `${name} ${names}` });
        await clock.sleep(RENAME_MS);
      }
    };
    await Promise.all([looking(), renaming()]);
  }

  async #ask(method: 'GET' | 'PATCH', region: string, body?: object): Promise<void> {
    const { client } = this;
    const { elapsedMs, note } = client.ground;
    const fromMs = elapsedMs();
    const request: Request = { method, path: `/users/${this.#id}`, token: this.#token, body };
    const reply = await this.#transport.ask(region, request, TIMEOUT_MS);
    if (reply === null) return;
    const untilMs = elapsedMs();
    note(`${client.name} ${method} ${reply.status} ${JSON.stringify(reply.body)}`);
    if (reply.status === 200)
      client.seen(this.#id, { reply, fromMs, lastFromMs: fromMs, untilMs, attempts: 1, region });
    else if (reply.status !== 503)
      client.ground.wrong(
        `${client.name}: ${method} was answered ${reply.status} ${JSON.stringify(reply.body)}`,
      );
  }
}
