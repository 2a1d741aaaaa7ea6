/**
 * Regions that others take over from, one loss at a time: each kind opens another window in which a mistake would show. What a
 * kind needs to happen at the worst moment is begun when operators are told that the moment has come.
 */
import type { Clock } from 'cardume/host';
import type { RandomStream } from 'cardume/testing/simulated/stream';
import { COORDINATOR, type Fault, type LossKind, type Plan } from './plan.ts';
import type { World } from './world.ts';

export interface LossGround {
  readonly plan: Plan;
  readonly world: World;
  readonly clock: Clock;
  readonly streamOf: (fault: Fault) => RandomStream;
  /** Nothing passes from one machine to another, until the end that is returned, which may come more than once. */
  readonly cut: (from: string, to: string) => () => void;
  /** The link is slow, until the end that is returned. */
  readonly clog: (here: string, there: string, latencyMs: number) => () => void;
  /** The process ends, and another starts after a while. */
  readonly end: (region: string, how: 'kill', downMs: number) => void;
  readonly isHealed: () => boolean;
  readonly wrong: (what: string) => void;
}

export interface Losses {
  readonly kinds: Readonly<Record<LossKind, (fault: Fault) => string>>;
  /** Whatever else befalls it, nobody starts it before its time. */
  isLost(region: string): boolean;
  /** What each region that was lost said to have alone, in the moment of its loss; null: nothing. */
  readonly alone: readonly (number | null)[];
}

/** Longer than a lease and a replacement. */
const LOST_MS_MIN = 5_000;
/** What is written in this time dies with the region. */
const ALONE_MS_MAX = 2_500;
/** The third of two that are lost hears nothing of the first for so long. */
const BEHIND_MS_MAX = 1_500;
/** Of two that are lost, the second: longer than its lease, since a region that may live is asked. */
const SECOND_LOST_MS_MIN = 3_500;
const SECOND_MS_MAX = 800;
/** Leases end in this time, and a region that is lost is replaced soon after. */
const LEASE_ENDS_MS = 2_900;
const REPLACED_AFTER_MS = 3_500;
const STRANDED_MORE_MS = 2_500;
/** It writes for so long before it knows that it is alone. */
const ALONE_AFTER_MS = 900;
const ALONE_LATER_MS = 500;
/** When others are about to name new homes, having asked each other twice over a slow link. */
const BACK_AFTER_MS = 3_900;
const BACK_LATER_MS = 300;
const UNHEARD_MS = 2_600;
const TROUBLE_MS = 2_500;
const FAR_MS_MAX = 350;
const FAR_FOR_MS = 6_000;
const LOOK_MS = 10;
const LOOKS_MAX = 800;
/** It may wake before its lease has ended, or after. */
const USURPED_ASLEEP_MS_MIN = 800;
const USURPED_ASLEEP_MORE_MS = 2_600;
const USURPED_AWAKE_MS = 3_000;
const ASK_MS_MAX = 5_000;
const COME_BACK_TRIES = 6;
const COME_BACK_AGAIN_MS = 150;

const REPLACED = /partitions of a lost region have a new home/;
const HELD_AGAIN = /the lease of the region holds again/;

export function openLosses(ground: LossGround): Losses {
  const { plan, world, clock, streamOf, cut, clog, end, isHealed } = ground;
  const { simulation } = world;
  const lostUntilMs = new Map<string, number>();
  const alone: (number | null)[] = [];
  let quietUntilMs = 0;

  /** @returns whether another loss has not come to its end */
  function isBusy(forMs: number): boolean {
    const nowMs = simulation.elapsedMs();
    if (nowMs < quietUntilMs) return true;
    quietUntilMs = nowMs + forMs;
    return false;
  }

  const isLost = (region: string): boolean => simulation.elapsedMs() < (lostUntilMs.get(region) ?? 0);

  function othersOf({ region }: Fault, stream: RandomStream): readonly [string, string] {
    const [one, other] = plan.regions.filter((name) => name !== region) as [string, string];
    return stream.below(2) === 0 ? [one, other] : [other, one];
  }

  /** Its process ends, and nobody starts another in that time. */
  function lose(region: string, downMs: number): void {
    if (isHealed()) return;
    void world.alone(region).then((entries) => alone.push(entries));
    lostUntilMs.set(region, simulation.elapsedMs() + downMs);
    end(region, 'kill', downMs);
    clock.after(downMs, () => {
      if (world.instance(region) !== null) return;
      world.down(region);
      world.machine(region).kill();
      world.boot(region);
    });
  }

  /** Nothing passes between the two sides. @returns ends it */
  function sever(here: readonly string[], there: readonly string[]): () => void {
    const ends = here.flatMap((one) => there.flatMap((other) => [cut(one, other), cut(other, one)]));
    return () => {
      for (const end of ends.splice(0)) end();
    };
  }

  /** Calls back when operators of one of the regions are told so, or never. */
  function whenTold(regions: readonly string[], what: RegExp, then: () => void): void {
    const seen = new Map(regions.map((region) => [region, world.machine(region).lines.length]));
    let looks = 0;
    const look = (): void => {
      looks += 1;
      const isTold = regions.some((region) => {
        const { lines } = world.machine(region);
        const isSaid = lines.slice(seen.get(region)).some((line) => what.test(line));
        seen.set(region, lines.length);
        return isSaid;
      });
      if (isTold) then();
      else if (looks < LOOKS_MAX && !isHealed()) clock.after(LOOK_MS, look);
    };
    look();
  }

  /** Disks of who takes over fail for a while. */
  function trouble(region: string, stream: RandomStream, afterMs: number): void {
    const path = ['.memory.db', '.memory.db', '.log.db', ''][stream.below(4)] as string;
    clock.after(afterMs, () => {
      if (isHealed()) return;
      const mended = world.machine(region).failReads({ count: Number.POSITIVE_INFINITY, path });
      clock.after(TROUBLE_MS * stream.fraction(), mended);
    });
  }

  /** As an operator asks. @returns whether it was done */
  async function ask(region: string, path: string, body: object): Promise<boolean> {
    const request = { method: 'POST', path: `/operators/regions/${region}${path}` } as const;
    const reply = await world
      .transport('operator-2')
      .ask(region, { ...request, token: world.staffToken, body }, ASK_MS_MAX);
    if (reply?.status === 500) ground.wrong(`operator-2: ${path} was answered ${JSON.stringify(reply.body)}`);
    return reply !== null && reply.status < 300;
  }

  return {
    isLost,
    alone,
    kinds: {
      lost(fault) {
        const { region, forMs, amount } = fault;
        const stream = streamOf(fault);
        const downMs = LOST_MS_MIN + forMs;
        // Before, it reaches all others, or one, or none.
        const unheardMs = amount < 0.2 ? 0 : Math.ceil(amount * ALONE_MS_MAX);
        if (isBusy(unheardMs + downMs)) return `${region} would be lost, and another is`;
        const others = othersOf(fault, stream);
        const unheardBy = amount < 0.5 ? others.slice(1) : others;
        if (unheardMs > 0) clock.after(unheardMs + 1, sever([region], unheardBy));
        clock.after(unheardMs, () => lose(region, downMs));
        const isTroubled = stream.below(3) === 0;
        if (isTroubled) for (const other of others) trouble(other, stream, unheardMs + LEASE_ENDS_MS);
        return `${region} is lost for ${downMs} ms${unheardMs > 0 ? `, does not reach ${unheardBy.join(' and ')} for ${unheardMs} ms before` : ''}${isTroubled ? ', and disks of the others fail' : ''}`;
      },
      'lost-pair'(fault) {
        const { region, forMs, amount } = fault;
        const stream = streamOf(fault);
        const downMs = LOST_MS_MIN + forMs;
        const behindMs = Math.ceil((0.2 + 0.8 * amount) * BEHIND_MS_MAX);
        if (isBusy(behindMs + downMs)) return `${region} would be lost with another, and one is`;
        const [second, third] = othersOf(fault, stream);
        const healed = sever([region], [third]);
        const laterMs = stream.below(SECOND_MS_MAX);
        const secondMs = SECOND_LOST_MS_MIN + stream.below(BEHIND_MS_MAX);
        clock.after(behindMs, () => lose(region, downMs));
        clock.after(behindMs + laterMs, () => lose(second, secondMs));
        clock.after(behindMs + laterMs + 1, healed);
        return `${region} is lost for ${downMs} ms, ${third} hears nothing of it for ${behindMs} ms before, and ${second} is lost ${laterMs} ms later for ${secondMs} ms`;
      },
      stranded(fault) {
        const { region, amount } = fault;
        const stream = streamOf(fault);
        const others = othersOf(fault, stream);
        const [one, other] = others;
        const isAtOnce = amount >= 0.15 && amount < 0.5;
        const isBack = amount >= 0.5 && amount < 0.8;
        const forMs = isBack
          ? BACK_AFTER_MS + stream.below(BACK_LATER_MS)
          : REPLACED_AFTER_MS + stream.below(STRANDED_MORE_MS);
        if (isBusy(forMs + LOST_MS_MIN)) return `${region} would be stranded, and another is lost`;
        if (amount < 0.15) {
          world.machine(region).pause(forMs);
          return `${region} stands still for ${forMs} ms`;
        }
        clock.after(forMs, sever([region], [COORDINATOR]));
        const farMs = Math.ceil(FAR_MS_MAX * (0.2 + 0.8 * stream.fraction()));
        // What it has sent arrives when it has been replaced, at a region that has not heard of it yet.
        if (isAtOnce) clock.after(FAR_FOR_MS, clog(one, COORDINATOR, farMs));
        // It has its lease again while the others agree that it has none, and then it hears nothing of what they do.
        else if (isBack) {
          const near = clog(one, other, FAR_MS_MAX);
          whenTold(others, REPLACED, near);
          clock.after(FAR_FOR_MS, near);
          whenTold([region], HELD_AGAIN, () => clock.after(UNHEARD_MS, sever([region], [COORDINATOR])));
        } else clock.after(FAR_FOR_MS, clog(one, stream.below(2) === 0 ? other : COORDINATOR, farMs));
        const afterMs = ALONE_AFTER_MS + stream.below(ALONE_LATER_MS);
        clock.after(afterMs, () => {
          if (isHealed()) return;
          const heard = sever([region], others);
          if (isAtOnce) whenTold(others, REPLACED, heard);
          clock.after(isAtOnce ? FAR_FOR_MS : forMs - afterMs + (isBack ? UNHEARD_MS : 0), heard);
        });
        return `${region} cannot reach the coordinator for ${forMs} ms, and no other region from ${afterMs} ms on${isAtOnce ? ' until it is replaced' : isBack ? ', and not the coordinator again when it has its lease' : ''}`;
      },
      usurped(fault) {
        const { region } = fault;
        const stream = streamOf(fault);
        const asleepMs = USURPED_ASLEEP_MS_MIN + stream.below(USURPED_ASLEEP_MORE_MS);
        if (isBusy(asleepMs + USURPED_AWAKE_MS)) return `${region} would be usurped, and another is lost`;
        const [other] = othersOf(fault, stream);
        const service = ['orders', 'users', 'products'][stream.below(3)] as string;
        const shards = 2 + stream.below(2);
        const comeBack = async (): Promise<void> => {
          for (let tries = 0; tries < COME_BACK_TRIES; tries += 1) {
            if (await ask(other, '/switchover', { to: region, born_in: region })) break;
            await clock.sleep(COME_BACK_AGAIN_MS);
          }
          await ask(region, '/reshard', { service, to: shards });
        };
        const succeed = (looks: number): void => {
          if (isHealed()) return;
          if (world.instance(region) !== null) void comeBack();
          else if (looks < LOOKS_MAX) clock.after(LOOK_MS, () => succeed(looks + 1));
        };
        void ask(region, '/switchover', { to: other, born_in: region }).then(() => {
          if (isHealed() || world.instance(region) === null) return;
          world.down(region);
          const ended = world.machine(region).replace(asleepMs);
          clock.after(asleepMs + USURPED_AWAKE_MS, ended);
          // Else the others wait for the one that sleeps. Of the coordinator it hears when it wakes.
          for (const one of plan.regions) if (one !== region) simulation.links.disconnect(region, one);
          world.boot(region);
          succeed(0);
        });
        return `${region} goes to ${other}, its process stands still for ${asleepMs} ms, and it comes back beside it, to ${shards} shards of ${service}`;
      },
    },
  };
}
