/** What became of the questions of a differential test, told at its end. */
import { AssertionError } from 'node:assert/strict';
import { isCardumeError } from '../base/errors.ts';

export interface Tally {
  /** Of one comparison with what the question means: right when it ends, wrong when an assertion fails. */
  compared<Given extends unknown[]>(
    comparison: (...given: Given) => Promise<void>,
  ): (...given: Given) => Promise<void>;
  /** As a line of text. */
  text(): string;
}

export function tally(): Tally {
  const count = { right: 0, refused: 0, wrong: 0 };
  return {
    compared:
      (comparison) =>
      async (...given) => {
        try {
          await comparison(...given);
          count.right += 1;
        } catch (error) {
          if (isCardumeError(error, 'query-refused')) count.refused += 1;
          else if (error instanceof AssertionError) count.wrong += 1;
          throw error;
        }
      },
    text() {
      const { right, refused, wrong } = count;
      const all = right + refused + wrong;
      return `${shown(all)} queries: ${shown(right)} right, ${shown(refused)} refused, ${shown(wrong)} wrong`;
    },
  };
}

function shown(value: number): string {
  return value.toLocaleString('en');
}
