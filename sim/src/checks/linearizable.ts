/**
 * Linearizability: is there an order of the operations, each at some moment between its call and its answer, in which a
 * single copy of the object would have given the same answers? The search is Wing and Gong's (1993) with Lowe's memory
 * of what was tried (2017), as Porcupine does it: operations are taken one at a time from those that no other precedes,
 * and a set of taken operations that led to a state before is not searched again.
 *
 * An operation without an answer may have happened at any time after its call, or not yet: its end is Infinity.
 */
export interface Operation<Input> {
  /** What was asked and, for a read, what was answered. */
  readonly input: Input;
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface Model<State, Input> {
  readonly initial: State;
  /** @returns the state behind the operation, or undefined when a single copy would not have answered so */
  step(state: State, input: Input): State | undefined;
  /** Equal states have equal names. */
  name(state: State): string;
}

export type Verdict = 'linearizable' | 'not linearizable' | 'undecided';

/** Looks at this many states before it gives up: the problem is NP-complete. */
const STATES_MAX = 500_000;

interface Node {
  /** Of its operation. */
  readonly index: number;
  /** The answer of the call; null in an answer itself. */
  readonly answer: Node | null;
  previous: Node | null;
  next: Node | null;
}

export function linearizable<State, Input>(
  model: Model<State, Input>,
  operations: readonly Operation<Input>[],
): Verdict {
  const head = listOf(operations);
  const taken = new Uint32Array(Math.ceil(operations.length / 32));
  const tried = new Set<string>();
  const stack: { readonly node: Node; readonly before: State }[] = [];
  let state = model.initial;
  let node = head.next;
  while (head.next !== null) {
    if (node !== null && node.answer !== null) {
      const operation = operations[node.index] as Operation<Input>;
      const after = model.step(state, operation.input);
      if (after !== undefined) {
        flip(taken, node.index);
        const name = `${taken.join()} ${model.name(after)}`;
        if (!tried.has(name)) {
          if (tried.size >= STATES_MAX) return 'undecided';
          tried.add(name);
          stack.push({ node, before: state });
          state = after;
          lift(node);
          node = head.next;
          continue;
        }
        flip(taken, node.index);
      }
      node = node.next;
      continue;
    }
    // An answer stands before every operation that is left: what was taken last was wrong.
    const last = stack.pop();
    if (last === undefined) return 'not linearizable';
    flip(taken, last.node.index);
    state = last.before;
    unlift(last.node);
    node = last.node.next;
  }
  return 'linearizable';
}

/** Calls and answers by time; at the same time calls come first, so that whatever may overlap does. */
function listOf<Input>(operations: readonly Operation<Input>[]): Node {
  const head: Node = { index: -1, answer: null, previous: null, next: null };
  const moments: { readonly atMs: number; readonly isCall: boolean; readonly node: Node }[] = [];
  operations.forEach(({ fromMs, untilMs }, index) => {
    const answer: Node = { index, answer: null, previous: null, next: null };
    const call: Node = { index, answer, previous: null, next: null };
    moments.push({ atMs: fromMs, isCall: true, node: call }, { atMs: untilMs, isCall: false, node: answer });
  });
  moments.sort((a, b) => (a.atMs === b.atMs ? Number(b.isCall) - Number(a.isCall) : a.atMs - b.atMs));
  let last = head;
  for (const { node } of moments) {
    last.next = node;
    node.previous = last;
    last = node;
  }
  return head;
}

function flip(bits: Uint32Array, index: number): void {
  bits[index >>> 5] = (bits[index >>> 5] as number) ^ (1 << (index & 31));
}

/** Takes a call and its answer out of the list. */
function lift(call: Node): void {
  for (const node of [call, call.answer as Node]) {
    if (node.previous !== null) node.previous.next = node.next;
    if (node.next !== null) node.next.previous = node.previous;
  }
}

/** Puts them back where they were: the reverse of the last `lift`. */
function unlift(call: Node): void {
  for (const node of [call.answer as Node, call]) {
    if (node.previous !== null) node.previous.next = node;
    if (node.next !== null) node.next.previous = node;
  }
}
