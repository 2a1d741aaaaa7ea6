/**
 * "Sometimes" assertions: states that a search must reach, or it has not searched where it should. A run notes those
 * that it reached; over many runs all must have been, or the table names what is missing.
 */
export const interesting = [
  'a request without an answer',
  'a retry was given the first answer',
  'a twin was given the first answer',
  'an answer of before a restart was given again after it',
  'a key was reused with another body and refused',
  'an e-mail that another account has',
  'a product that exists already',
  'an order was confirmed',
  'an order was rejected: insufficient-stock',
  'an order was rejected: payment-declined',
  'an order was rejected: payment-timed-out',
  'an order was cancelled before it was confirmed',
  'an order was cancelled after it was confirmed',
  'a compensation was interrupted by a restart',
  'an order was carried over a restart',
  'a payment was pending and then approved',
  'a transfer of stock was carried over a restart',
  'rights came on demand',
  'an order waited in line, and was refused',
  'a registration was carried over a restart',
  'an account moved',
  'an account moved more than once',
  'a move was carried over a restart',
  'a writer was fenced',
  'writes were torn at a loss of power',
  'a torn log was opened again',
  'the power failed at a write or sync of a database',
  'a writer or reader thread ended',
  'the disk refused a write',
  'an outcome was unknown at first',
  'the home of a partition could not be reached',
  'an instance was draining',
  'a read model was behind its log',
  'an epoch above five',
  'a list was as old as it might be',
  'a partition moved to another shard',
  'a reshard was carried over a restart',
  'a reshard was finished',
  'a reshard was rolled back',
] as const;
/** Where regions take over from each other. */
export const interestingRegional = [
  'partitions were switched over',
  'a lost region was replaced',
  'entries were quarantined',
  'an order was lost with its region',
  'rights of a lost region were frozen',
  'quarantined entries were submitted again',
  'quarantined entries were refused',
] as const;
export type Interesting = (typeof interesting)[number] | (typeof interestingRegional)[number];

const CODES: Readonly<Record<string, Interesting>> = {
  fenced: 'a writer was fenced',
  'storage-failed': 'the disk refused a write',
  'unknown-outcome': 'an outcome was unknown at first',
  'partition-unavailable': 'the home of a partition could not be reached',
  draining: 'an instance was draining',
  'read-model-halted': 'a read model was behind its log',
};

export class Coverage {
  readonly counts = new Map<Interesting, number>();
  reached(state: Interesting): void {
    this.counts.set(state, (this.counts.get(state) ?? 0) + 1);
  }

  /** @param code of a problem document */
  reachedCode(code: string): void {
    const state = CODES[code];
    if (state !== undefined) this.reached(state);
  }
}

/** Runs that reached each state. @param runs what each run reached */
export function table(
  runs: readonly (readonly Interesting[])[],
  isRegional = false,
): readonly (readonly [Interesting, number])[] {
  const states: readonly Interesting[] = isRegional ? [...interesting, ...interestingRegional] : interesting;
  return states.map((state) => [state, runs.filter((one) => one.includes(state)).length] as const);
}
