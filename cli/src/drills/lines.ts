/**
 * A line between two processes that can be slow, or cut. Cut, it behaves as a network that loses every packet does: nothing
 * arrives, nobody is told, and what was sent meanwhile arrives when it is whole again.
 */
import type { Host } from 'cardume/host';
import type { Address, Connection, Listener } from 'cardume/host/network';

export interface BadLine {
  /** Where to connect to instead of the target. */
  readonly port: number;
  setDelay(ms: number): void;
  setCut(isCut: boolean): void;
  close(): Promise<void>;
}

const CONNECT_MS = 5_000;
/** Of one connection, each way; one that holds more is ended. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;

interface State {
  delayMs: number;
  isCut: boolean;
  /** Called when the line is whole again. */
  readonly held: Set<() => void>;
}

export async function openLine(host: Host, port: number, target: Address): Promise<BadLine> {
  const state: State = { delayMs: 0, isCut: false, held: new Set() };
  const listener: Listener = await host.network.listen({ host: '127.0.0.1', port }, (near) => {
    void join(host, state, near, target);
  });
  return {
    port,
    setDelay(ms) {
      state.delayMs = ms;
    },
    setCut(isCut) {
      state.isCut = isCut;
      if (!isCut) for (const go of [...state.held]) go();
    },
    async close() {
      state.isCut = false;
      await listener.close();
    },
  };
}

async function join(host: Host, state: State, near: Connection, target: Address): Promise<void> {
  const there = pipe(host, state);
  const back = pipe(host, state);
  let far: Connection | null = null;
  let isOver = false;
  const end = (): void => {
    isOver = true;
    there.close();
    back.close();
    near.close();
    far?.close();
  };
  // That an end has gone away reaches the other one as all else does: behind what was sent, and not through a cut line.
  near.onClose(() => (far === null ? end() : there.last(end)));
  near.onData((bytes) => void (there.put(bytes) || end()));
  await there.whole();
  if (isOver) return;
  try {
    far = await host.network.connect(target, CONNECT_MS);
  } catch {
    return end(); // as a process that does not run refuses
  }
  if (isOver) return far.close();
  const open = far;
  open.onClose(() => back.last(end));
  open.onData((bytes) => void (back.put(bytes) || end()));
  there.to((bytes) => void open.write(bytes));
  back.to((bytes) => void near.write(bytes));
}

interface Pipe {
  /** @returns false when it holds too much */
  put(bytes: Uint8Array): boolean;
  to(write: (bytes: Uint8Array) => void): void;
  /** Behind all that was put. */
  last(then: () => void): void;
  /** Resolves when the line is not cut. */
  whole(): Promise<void>;
  close(): void;
}

/** In order, each part so late as the line is slow, and none while it is cut. */
function pipe({ clock }: Host, state: State): Pipe {
  const parts: { readonly dueMs: number; readonly bytes: Uint8Array | null; readonly then?: () => void }[] =
    [];
  let heldBytes = 0;
  let write: ((bytes: Uint8Array) => void) | null = null;
  let isTimed = false;
  let isClosed = false;

  function flow(): void {
    if (isTimed || isClosed || state.isCut || write === null) return;
    for (let part = parts[0]; part !== undefined; part = parts[0]) {
      const waitMs = part.dueMs - clock.monotonicMs();
      if (waitMs > 0) {
        isTimed = true;
        clock.after(waitMs, () => {
          isTimed = false;
          flow();
        });
        return;
      }
      parts.shift();
      heldBytes -= part.bytes?.length ?? 0;
      if (part.bytes !== null) write(part.bytes);
      part.then?.();
    }
  }
  state.held.add(flow);
  return {
    put(bytes) {
      heldBytes += bytes.length;
      parts.push({ dueMs: clock.monotonicMs() + state.delayMs, bytes });
      flow();
      return heldBytes <= HELD_BYTES_MAX;
    },
    to(target) {
      write = target;
      flow();
    },
    last(then) {
      parts.push({ dueMs: clock.monotonicMs() + state.delayMs, bytes: null, then });
      flow();
    },
    whole() {
      if (!state.isCut) return Promise.resolve();
      return new Promise((resolve) => {
        const go = (): void => {
          state.held.delete(go);
          resolve();
        };
        state.held.add(go);
      });
    },
    close() {
      isClosed = true;
      state.held.delete(flow);
    },
  };
}
