/** One life of an instance in this process: a test can end it as a crash does, at once and with all it has started. */
import { channel } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { CardumeError } from 'cardume/base';
import type { Clock, Host } from 'cardume/host';
import type { Connection, Listener } from 'cardume/host/network';
import type { Thread } from 'cardume/host/threads';

export interface Life {
  readonly host: Host;
  /** From now on nobody reaches it over a link; it reaches others. */
  isolate(): void;
  /** From now on its threads and links are gone and no new ones come about. */
  end(): Promise<void>;
}

export function lifeOf(host: Host): Life {
  const threads = new Set<Thread>();
  const links = new Set<Connection>();
  const listeners = new Set<Listener>();
  const callers = new Set<Connection>();
  let ended = false;
  let isIsolated = false;
  const refusal = () => new CardumeError('partition-unavailable', 'this instance was killed');
  return {
    host: {
      ...host,
      threads: {
        ...host.threads,
        spawn(...how) {
          if (ended) return stillborn(host.clock);
          const thread = host.threads.spawn(...how);
          threads.add(thread);
          thread.onExit(() => threads.delete(thread));
          return thread;
        },
      },
      network: {
        async listen(address, accept) {
          if (ended) throw refusal();
          const listener = await host.network.listen(address, (caller) => {
            if (isIsolated) return caller.close();
            callers.add(caller);
            caller.onClose(() => callers.delete(caller));
            accept(caller);
          });
          listeners.add(listener);
          return listener;
        },
        async connect(...how) {
          if (ended) throw refusal();
          const link = await host.network.connect(...how);
          links.add(link);
          link.onClose(() => links.delete(link));
          return link;
        },
      },
    },
    isolate() {
      isIsolated = true;
      for (const caller of callers) caller.close();
    },
    async end() {
      ended = true;
      await Promise.all([...threads].map((thread) => thread.stop()));
      for (const link of links) link.close();
      await Promise.all([...listeners].map((listener) => listener.close()));
    },
  };
}

function stillborn(clock: Clock): Thread {
  return {
    post: () => undefined,
    onMessage: () => undefined,
    onExit: (listener) => clock.soon(() => listener(null)),
    stop: async () => undefined,
  };
}

/** Every socket that a server of this process accepts, by the server's port. */
export function acceptedSockets(): { destroy(port: number): void; forget(): void } {
  const accepted = new Set<Socket>();
  const servers = channel('net.server.socket');
  const add = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket };
    accepted.add(socket);
    socket.once('close', () => accepted.delete(socket));
  };
  servers.subscribe(add);
  return {
    destroy(port) {
      for (const socket of accepted) if (socket.localPort === port) socket.destroy();
    },
    forget: () => void servers.unsubscribe(add),
  };
}
