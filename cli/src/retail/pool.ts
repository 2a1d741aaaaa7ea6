/** Works on many things, so many at a time; order of the ends is not that of the beginnings. */

/**
 * @param signal after it no further item is begun; those under way end in their own time
 * @throws the first failure of `work`, after all that was under way has ended
 */
export async function forEachBounded<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  concurrency: number,
  signal: AbortSignal,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let ended = false;
  const failures: unknown[] = [];

  async function runLane(): Promise<void> {
    while (!ended && !signal.aborted) {
      try {
        const next = await source.next();
        if (next.done === true) ended = true;
        else await work(next.value);
      } catch (error) {
        ended = true;
        failures.push(error);
      }
    }
  }

  await Promise.all(Array.from({ length: concurrency }, runLane));
  await source.return?.();
  if (failures.length > 0) throw failures[0];
}
