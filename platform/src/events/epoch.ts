/**
 * Epochs of different regions never meet. Each change of a partition's home between regions has a term, which grows, and a
 * term owns a range of epochs: whoever opens a partition by a later term does so above all epochs of the ones before, without
 * having heard of them. Within its term an epoch grows by one with each opening, release and adoption: a term has a million.
 * Logs that know of no terms are in term 0.
 */
import { assert } from '../base/assert.ts';

export const EPOCHS_A_TERM = 2 ** 20;
/** A token has eight digits for an epoch (token.ts): a new home every minute for five years. */
export const TERM_MAX = Math.floor(36 ** 8 / EPOCHS_A_TERM) - 1;

/** The floor of whoever opens a partition by the term. */
export function firstEpochOf(term: number): number {
  assert(Number.isInteger(term) && term >= 0 && term <= TERM_MAX, `a term is 0 to ${TERM_MAX}, not ${term}`);
  return term * EPOCHS_A_TERM;
}

export function termOf(epoch: number): number {
  return Math.floor(epoch / EPOCHS_A_TERM);
}
