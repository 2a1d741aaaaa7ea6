/** An operator who looks after quarantines: submits what a lost region had alone again, or gives it up. */
import type { RandomStream } from 'cardume/testing/simulated/stream';
import type { Request, Transport } from '../transport.ts';
import { Client, type Ground } from './client.ts';

interface Decided {
  readonly entries: number;
  readonly left: readonly { readonly retryable: boolean; readonly why: string }[];
  readonly next: string | null;
}

const LOOK_PERCENT = 20;
const NAMED_MAX = 3;
const PAUSE_MS = 300;

export class Salvage {
  readonly client: Client;
  readonly #token: string;

  constructor(name: string, ground: Ground, transport: Transport, stream: RandomStream) {
    this.client = new Client(name, ground, transport, stream);
    this.#token = ground.staffToken;
  }

  async live(): Promise<void> {
    const { client } = this;
    while (!client.ground.isOver()) {
      await client.think();
      if (!client.chance(LOOK_PERCENT)) continue;
      const region = client.one(client.ground.regions);
      const ids = await this.#undecided(region);
      if (ids.length === 0) continue;
      const some = Array.from({ length: 1 + client.stream.below(NAMED_MAX) }, () => client.one(ids));
      if (client.chance(10)) await this.#decide('discard', { entries: some });
      else await this.#decide('resubmit', client.chance(50) ? { region } : { entries: some });
    }
  }

  /** Nothing waits for a decision any more. */
  async conclude(): Promise<void> {
    const { ground } = this.client;
    for (const region of ground.regions) {
      for (let isDone = false; !isDone; ) {
        isDone = await this.#decideAll('resubmit', region);
        if (!isDone) await ground.clock.sleep(PAUSE_MS);
      }
      while ((await this.#undecided(region)).length > 0) await this.#decideAll('discard', region);
    }
  }

  /** @returns whether all that is left was refused for good */
  async #decideAll(how: 'resubmit' | 'discard', region: string): Promise<boolean> {
    let after: string | null = null;
    do {
      const decided = await this.#decide(how, { region, ...(after === null ? {} : { after }) });
      if (decided === null || decided.left.some(({ retryable }) => retryable)) return false;
      after = decided.next;
    } while (after !== null);
    return true;
  }

  async #decide(how: 'resubmit' | 'discard', body: unknown): Promise<Decided | null> {
    const { client } = this;
    const request = this.#request('POST', `/operators/quarantine/${how}`, body);
    const { reply } = await client.tell(`${how} what is quarantined`, request, [200], true);
    if (reply?.status !== 200) return null;
    const decided = reply.body as unknown as Decided;
    if (how === 'resubmit' && decided.entries > 0)
      client.ground.coverage.reached('quarantined entries were submitted again');
    if (decided.left.some(({ retryable }) => !retryable))
      client.ground.coverage.reached('quarantined entries were refused');
    return decided;
  }

  async #undecided(region: string): Promise<readonly string[]> {
    const request = this.#request('GET', `/operators/quarantine?region=${region}&limit=100`);
    const { reply } = await this.client.tell('look at a quarantine', request, [200], true);
    const items = (reply?.body as { readonly items?: readonly { readonly id: string }[] } | undefined)?.items;
    return (items ?? []).map(({ id }) => id);
  }

  #request(method: 'GET' | 'POST', path: string, body?: unknown): Request {
    return { method, path, token: this.#token, ...(body === undefined ? {} : { body }) } as Request;
  }
}
