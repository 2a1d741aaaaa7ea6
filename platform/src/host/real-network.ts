import { connect as connectSocket, createServer, type Socket } from 'node:net';
import { CardumeError } from '../base/errors.ts';
import type { Address, Connection, Network } from './network.ts';

export const realNetwork: Network = {
  listen(address, accept) {
    return new Promise((resolve, reject) => {
      const connections = new Set<Connection>();
      const server = createServer({ noDelay: true }, (socket) => {
        const connection = connectionOf(socket);
        connections.add(connection);
        connection.onClose(() => connections.delete(connection));
        accept(connection);
      });
      server.once('error', reject);
      server.listen(address.port, address.host, () => {
        const { port } = server.address() as { port: number };
        resolve({
          address: { host: address.host, port },
          close: () =>
            new Promise((closed) => {
              server.close(() => closed());
              for (const connection of connections) connection.close();
            }),
        });
      });
    });
  },
  connect(address: Address, timeoutMs: number) {
    return new Promise((resolve, reject) => {
      const socket = connectSocket({ host: address.host, port: address.port, noDelay: true });
      const fail = (why: string): void => {
        socket.destroy();
        reject(new CardumeError('partition-unavailable', `${address.host}:${address.port} ${why}`));
      };
      const timer = setTimeout(() => fail(`did not answer within ${timeoutMs} ms`), timeoutMs);
      socket.once('error', (error) => {
        clearTimeout(timer);
        fail(`cannot be reached (${(error as NodeJS.ErrnoException).code ?? error.message})`);
      });
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.removeAllListeners('error');
        resolve(connectionOf(socket));
      });
    });
  },
};

function connectionOf(socket: Socket): Connection {
  let reason = 'closed by the peer';
  socket.on('error', (error) => {
    reason = error.message;
  });
  return {
    write: (bytes) => socket.write(bytes),
    onData: (listener) => void socket.on('data', listener),
    onDrain: (listener) => void socket.on('drain', listener),
    onClose(listener) {
      // Who listens late is told too: a closed socket sends no second event.
      if (socket.closed) setImmediate(() => listener(reason));
      else socket.once('close', () => listener(reason));
    },
    close() {
      if (!socket.destroyed) reason = 'closed by this side';
      socket.destroy();
    },
  };
}
