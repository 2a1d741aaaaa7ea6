/** Merges ordered lists by taking the least of their heads; a list is read no further than it is needed. */

export interface Taken<T> {
  readonly item: T;
  /** Place of its list. */
  readonly from: number;
}

/** The first `count` of all lists, in order. The caller ends the lists. */
export function* mergeLists<T>(
  lists: readonly Iterator<T, unknown, undefined>[],
  compare: (a: T, b: T) => number,
  count: number,
): Generator<Taken<T>, void, undefined> {
  /** The greatest first, so that the least is the cheapest to take away. */
  const heads: Taken<T>[] = [];

  function readFrom(from: number): void {
    const next = lists[from]?.next();
    if (next === undefined || next.done === true) return;
    let low = 0;
    let high = heads.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare((heads[middle] as Taken<T>).item, next.value) > 0) low = middle + 1;
      else high = middle;
    }
    heads.splice(low, 0, { item: next.value, from });
  }

  for (let from = 0; from < lists.length; from += 1) readFrom(from);
  for (let taken = 0; taken < count; taken += 1) {
    const least = heads.pop();
    if (least === undefined) return;
    yield least;
    if (taken + 1 < count) readFrom(least.from);
  }
}
