const atOnceMax = 32;

/** Does one thing to many, so many at a time. @throws the first error, after those under way have ended */
export async function sideBySide<Item>(
  items: Iterable<Item>,
  act: (item: Item) => Promise<unknown>,
): Promise<void> {
  const waiting = [...items];
  if (waiting.length === 1) {
    await act(waiting[0] as Item);
    return;
  }
  const failures: unknown[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < waiting.length && failures.length === 0) {
      const item = waiting[next++] as Item;
      await act(item).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnceMax, waiting.length) }, lane));
  if (failures.length > 0) throw failures[0];
}
