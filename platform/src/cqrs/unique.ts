/**
 * A value that at most one holder has, over all shards and regions: an e-mail, a name, a code of a coupon.
 *
 * Each value has a claim, an aggregate in the global space of its service. The claim's id is a keyed digest of the value
 * in its one spelling: whoever wants the value meets the same claim, and neither ids nor events tell the value. Between
 * two partitions there is no transaction, so a holder comes by its value in steps:
 *
 *   make      the holder is made, pending, and names the claim in its first event
 *   confirm   its process makes the value its own for good; then it is held, or lost to one that was quicker
 *   free      a holder that held it has ended, and its process lets go of it
 *
 * Where a holder is dear to make, the value is claimed before, for a minute: losers learn it early. Should the holder
 * certainly not come about, the claim is released.
 *
 * What a crash leaves needs no search. A claim without a holder lapses. A holder without its value is pending, so its
 * process is open, is taken up at the next start, and tries until it knows. So does one that has a value to free.
 *
 * A holder's id stands for one holding: it confirms once and frees once, each under a key, so that a command that comes
 * late finds the old answer. Whoever lets go of a value and wants it again is another holder.
 */
import { type ErrorCode, isCardumeError } from '../base/errors.ts';
import { naturalId, type Place } from '../base/id.ts';
import type { Aggregate, Typed } from './aggregate.ts';
import { type AggregateOf, type AggregateRef, type Bus, refer } from './bus.ts';
import {
  type ClaimCommand,
  type ClaimEvent,
  type ClaimState,
  type ClaimWords,
  claimAggregate,
} from './claim.ts';
import type { Effect, Work } from './process.ts';

export interface UniqueOptions<Value extends string, Holder extends string>
  extends ClaimWords<Value, Holder> {
  readonly service: string;
  /** One value, one spelling. Never changes: ids follow from it. */
  normal(text: string): string;
}

/** Where claims are at home and how their ids are made: what every operation is given. */
export interface ClaimGround {
  readonly geography: { placeInGlobal(service: string, key: string): Place };
  /** At least 16 bytes of a keyed hash. */
  secretDigest(text: string): Uint8Array;
}

export interface Unique<Value extends string, Holder extends string> {
  /** One of the service's aggregates. */
  readonly aggregate: Aggregate<ClaimState<Holder>, ClaimCommand<Holder>, ClaimEvent<Value, Holder>>;
  readonly claims: AggregateRef<ClaimCommand<Holder>> & AggregateOf<ClaimState<Holder>>;
  normal(text: string): string;
  /** Id of the claim on a value, in any spelling. */
  idOf(text: string, ground: ClaimGround): string;
  /** For a minute. @throws CardumeError `taken`, or what a bus throws */
  claim(bus: Bus, claim: string, holder: string): Promise<void>;
  /** Makes the holder of a claim. When it certainly was not made, the value is free at once; what `make` threw is thrown. */
  make<Made>(bus: Bus, claim: string, holder: string, make: () => Promise<Made>): Promise<Made>;
  /** Effect of a pending holder's process: confirms its claim, and sends the holder what has become of it. */
  confirming<Command extends Typed>(
    claim: string,
    holder: string,
    then: { readonly held: Command; readonly lost: Command },
  ): Effect<Command>;
  /** Effect of the process of a holder that held its value and has ended: lets go of it, and then tells the holder. */
  freeing<Command extends Typed>(claim: string, holder: string, freed: Command): Effect<Command>;
}

export function unique<const Value extends string, const Holder extends string>(
  options: UniqueOptions<Value, Holder>,
): Unique<Value, Holder> {
  const { service, name, idType, value, holder, normal, taken } = options;
  const definition = claimAggregate(options);
  const claims = refer(service, definition);
  const command = (type: ClaimCommand<Holder>['type'], id: string): ClaimCommand<Holder> =>
    ({ type, [holder]: id }) as ClaimCommand<Holder>;
  /** Under a key: sent again it finds its answer, also a refusal, whatever has become of the claim meanwhile. */
  const once = ({ bus, key, again }: Work, type: 'Confirm' | 'Free', claim: string, id: string) =>
    bus.send(claims, claim, command(type, id), { key: { text: key, fingerprint: claim, fresh: !again } });

  return {
    aggregate: definition,
    claims,
    normal,
    idOf(text, { geography, secretDigest }) {
      const digest = secretDigest(`${value}:${normal(text)}`);
      return naturalId(idType, geography.placeInGlobal(service, digest.toHex()), digest);
    },
    async claim(bus, claim, id) {
      await bus.send(claims, claim, command('Claim', id));
    },
    async make(bus, claim, id, make) {
      try {
        return await make();
      } catch (error) {
        if (isCertainlyNothing(error)) await bus.send(claims, claim, command('Release', id));
        throw error;
      }
    },
    confirming: (claim, id, { held, lost }) => ({
      key: `confirm-${name}`,
      kind: 'work',
      async run(work) {
        try {
          await once(work, 'Confirm', claim, id);
          return held;
        } catch (error) {
          if (isCardumeError(error, taken.code)) return lost;
          throw error;
        }
      },
    }),
    freeing: (claim, id, freed) => ({
      key: `free-${name}`,
      kind: 'work',
      async run(work) {
        await once(work, 'Free', claim, id);
        return freed;
      },
    }),
  };
}

const nothing: readonly ErrorCode[] = [
  'overloaded',
  'partition-unavailable',
  'draining',
  'storage-failed',
  'fenced',
];

/** The command has had no effect, and will have none. */
function isCertainlyNothing(error: unknown): boolean {
  return isCardumeError(error) && nothing.includes(error.code);
}
