/** Whoever has an account: registers, signs in wherever it is asked to, and changes the own name while looking at it. */

import type { RandomStream } from 'cardume/testing/simulated/stream';
import { listed } from '../history.ts';
import type { Request, Transport } from '../transport.ts';
import { Client, type Ground, type Told } from './client.ts';

const PASSWORD = 'many-small-fish';
const COUNTRIES = ['US', 'JP', 'GB', 'BR'];

export class Member {
  readonly client: Client;
  readonly #emails: readonly string[];
  id: string | null = null;
  email = '';
  country = '';
  /** By region: a token of a region whose clock is ahead is of the future in another. */
  readonly #tokens = new Map<string, string>();
  /** By region: several hands that find themselves without a token wait for one. */
  readonly #signingIn = new Map<string, Promise<boolean>>();
  #names = 0;
  #keys = 0;

  /** @param emails several members want the same */
  constructor(
    name: string,
    ground: Ground,
    transport: Transport,
    stream: RandomStream,
    emails: readonly string[],
  ) {
    this.client = new Client(name, ground, transport, stream);
    this.#emails = emails;
  }

  key(): string {
    this.#keys += 1;
    return `${this.client.name}-${this.#keys}`;
  }

  async register(): Promise<void> {
    const { client } = this;
    const email = client.one(this.#emails);
    const country = client.one(COUNTRIES);
    const name = this.#newName();
    const told = await this.#asked(email, country, name);
    if (told.reply === null) return;
    if (told.reply.status === 409) {
      await client.think();
      return;
    }
    this.id = told.reply.body.id as string;
    this.email = email;
    this.country = country;
    listed(client.ground.history.names, this.id).push({
      client: client.name,
      fromMs: told.fromMs,
      untilMs: told.untilMs,
      input: { kind: 'write', value: name },
    });
    client.seen(this.id, told);
  }

  /** Somebody else of the household: the address may be taken. */
  async newcomer(): Promise<void> {
    const { client } = this;
    const email = client.chance(50)
      ? client.one(this.#emails)
      : `${client.name}.${client.stream.below(40)}@example.com`;
    await this.#asked(email, client.one(COUNTRIES), this.#newName());
  }

  async #asked(email: string, country: string, name: string): Promise<Told> {
    const { client } = this;
    const body = { name, country, email, password: PASSWORD };
    const key = this.key();
    const asked = {
      client: client.name,
      fromMs: client.ground.elapsedMs(),
      untilMs: Number.POSITIVE_INFINITY,
      email,
      answer: null as { status: number; id: string | null } | null,
    };
    client.ground.history.registrations.push(asked);
    const told = await client.tell('register', { method: 'POST', path: '/users', key, body }, [201, 409]);
    if (told.reply === null) return told;
    asked.untilMs = told.untilMs;
    asked.answer = { status: told.reply.status, id: told.reply.body.id ?? null };
    if (told.reply.status === 409) client.ground.coverage.reached('an e-mail that another account has');
    else if (told.reply.body.email !== email)
      client.ground.wrong(`${client.name} registered ${email}, got ${told.reply.body.email}`);
    return told;
  }

  #newName(): string {
    this.#names += 1;
    return `${this.client.name} ${this.#names}`;
  }

  /** Asks as oneself: signs in where there is no token yet, or where it is refused. */
  async tell(
    operation: string,
    request: Request,
    expected: readonly number[],
    once = false,
    regionOf?: () => string,
  ): Promise<Told> {
    for (;;) {
      const told = await this.client.tell(
        operation,
        (region) => ({ ...request, token: this.#tokens.get(region) ?? 'none.none.none' }),
        [...expected, 401],
        once,
        regionOf,
      );
      if (told.reply?.status !== 401) return told;
      if (!(await this.#signIn(told.region))) return { ...told, reply: null };
    }
  }

  #signIn(region: string): Promise<boolean> {
    const underWay = this.#signingIn.get(region);
    if (underWay !== undefined) return underWay;
    const begun = this.#askForToken(region).finally(() => this.#signingIn.delete(region));
    this.#signingIn.set(region, begun);
    return begun;
  }

  async #askForToken(region: string): Promise<boolean> {
    const body = { email: this.email, password: PASSWORD };
    const told = await this.client.tell('sign in', { method: 'POST', path: '/users/sign-in', body }, [200]);
    if (told.reply === null) return false;
    this.#tokens.set(told.region, told.reply.body.token as string);
    // It may have been another region that answered: its token is tried here too.
    if (told.region !== region) this.#tokens.set(region, told.reply.body.token as string);
    return true;
  }

  /** The member goes on under its first id; of its tokens some stay old. */
  async moveAway(): Promise<void> {
    const { client } = this;
    const body = { region: client.one(client.ground.regions) };
    const request: Request = { method: 'POST', path: `/users/${this.id}/moves`, key: this.key(), body };
    // It is there already; or another hand moves it, or it has moved often enough.
    const told = await this.tell('move', request, [202, 400, 409]);
    if (told.reply?.status !== 202) return;
    const token = told.reply.body.token as string | undefined;
    if (token !== undefined) this.#tokens.set(told.region, token);
  }

  /** Looks while the change is on its way, and again. */
  async renameAndLook(): Promise<void> {
    const { client } = this;
    const looking = async (): Promise<void> => {
      for (let looks = 1 + client.stream.below(3); looks > 0; looks -= 1) {
        await client.ground.clock.sleep(1 + client.stream.below(12));
        await this.lookAtSelf();
      }
    };
    await Promise.all([this.#rename(), looking()]);
    await this.lookAtSelf();
  }

  async #rename(): Promise<void> {
    const { client } = this;
    const value = this.#newName();
    const access = {
      client: client.name,
      fromMs: client.ground.elapsedMs(),
      untilMs: Number.POSITIVE_INFINITY,
      input: { kind: 'write', value } as const,
    };
    const request: Request = { method: 'PATCH', path: `/users/${this.id}`, body: { name: value } };
    // A refusal for want of a token changes nothing: what counts begins behind it.
    const told = await this.client.tell(
      'rename',
      (region) => ({ ...request, token: this.#tokens.get(region) ?? 'none.none.none' }),
      [200, 401],
      true,
    );
    if (told.reply?.status === 401) {
      await this.#signIn(told.region);
      return;
    }
    listed(client.ground.history.names, this.id as string).push(access);
    if (told.reply === null) return;
    access.untilMs = told.untilMs;
    client.seen(this.id as string, told);
  }

  async lookAtSelf(): Promise<void> {
    const told = await this.tell('look at self', { method: 'GET', path: `/users/${this.id}` }, [200]);
    if (told.reply === null) return;
    this.client.seen(this.id as string, told);
    listed(this.client.ground.history.names, this.id as string).push({
      client: this.client.name,
      fromMs: told.lastFromMs,
      untilMs: told.untilMs,
      input: { kind: 'read', value: told.reply.body.name as string | null },
    });
  }
}
