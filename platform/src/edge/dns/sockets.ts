/**
 * The rim of the DNS server: one UDP socket, and TCP with two bytes of length in front of each message (RFC 7766,
 * section 8). It knows bytes, addresses and bounds; what is said to them is `answer`'s, in one step.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { commonBits, type Network, parseAddress, unmapped } from '../../base/ip.ts';
import type { Clock, Timer } from '../../host/host.ts';
import type { Log } from '../../telemetry/log.ts';
import { clientNetwork } from './policy.ts';

export interface SocketsOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Port 0: one that is free for both. */
  readonly address: { readonly host: string; readonly port: number };
  /** @returns null: nothing is sent, and over TCP the connection ends. Does not throw. */
  readonly answer: (message: Uint8Array, client: Network, transport: 'udp' | 'tcp') => Uint8Array | null;
}

export interface Sockets {
  readonly address: { readonly host: string; readonly port: number };
  /** Takes nothing new; what is written goes out, and is cut after the time. */
  drain(timeoutMs: number): Promise<void>;
}

export const CONNECTIONS_MAX = 512;
export const CONNECTIONS_PER_NETWORK_MAX = 128;
/** From one complete query to the next, and to the first (RFC 7766, section 6.2.3). */
export const IDLE_TIMEOUT_MS = 10_000;
/** A query has one name and a few options. Longer ones end the connection. */
export const TCP_QUERY_BYTES_MAX = 4_096;
/** Answers that the system has not taken yet; further ones are dropped, as a network may drop them. */
const UDP_UNSENT_BYTES_MAX = 4 * 1024 * 1024;
const PORT_ATTEMPTS_MAX = 10;
const PREFIX_BYTES = 2;

/** @throws Error of Node, such as `EADDRINUSE`, when it cannot listen on both */
export async function openSockets(options: SocketsOptions): Promise<Sockets> {
  const { log, clock, address } = options;
  const connections = new Set<Connection>();
  const { server, udp, port } = await openBoth(address, (server, udp) => {
    serveTcp(server, connections, options);
    serveUdp(udp, options);
  });
  udp.on('error', (error) => log.warn('the DNS socket had an error', { error }));
  server.on('error', (error) => log.warn('the DNS listener had an error', { error }));
  return {
    address: { host: address.host, port },
    drain: (timeoutMs) => drain(timeoutMs, clock, udp, server, connections),
  };
}

/** Whether both sides of a port are free. @throws Error of Node, such as `EADDRINUSE`, when they are not */
export async function tryPort(address: SocketsOptions['address']): Promise<void> {
  const { server, udp } = await openBoth(address, (server) => {
    server.on('connection', (socket) => socket.destroy());
  });
  await closed(server, udp);
}

interface Both {
  readonly server: Server;
  readonly udp: UdpSocket;
  readonly port: number;
}

/** @param serve before the first client can come */
async function openBoth(
  { host, port: wanted }: SocketsOptions['address'],
  serve: (server: Server, udp: UdpSocket) => void,
): Promise<Both> {
  for (let attempt = 1; ; attempt += 1) {
    const server = createServer({ noDelay: true, allowHalfOpen: true });
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    serve(server, udp);
    try {
      await bind(udp, host, wanted);
      const { port } = udp.address();
      await listen(server, host, port);
      return { server, udp, port };
    } catch (error) {
      udp.close();
      // Another program may have the TCP side of a port that the system chose.
      if (wanted !== 0 || attempt === PORT_ATTEMPTS_MAX) throw error;
    }
  }
}

async function closed(server: Server, udp: UdpSocket): Promise<void> {
  await Promise.all([
    new Promise<void>((resolve) => udp.close(() => resolve())),
    new Promise<void>((resolve) => server.close(() => resolve())),
  ]);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

function bind(udp: UdpSocket, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    udp.once('error', reject);
    udp.bind(port, host, () => {
      udp.removeListener('error', reject);
      resolve();
    });
  });
}

async function drain(
  timeoutMs: number,
  clock: Clock,
  udp: UdpSocket,
  server: Server,
  connections: ReadonlySet<Connection>,
): Promise<void> {
  const done = closed(server, udp);
  for (const connection of connections) connection.end();
  const timer = clock.after(timeoutMs, () => {
    for (const connection of connections) connection.destroy();
  });
  await done;
  timer.cancel();
}

function serveUdp(udp: UdpSocket, { answer }: SocketsOptions): void {
  udp.on('message', (message, { address, port }) => {
    const client = clientAt(address);
    if (client === null || port === 0) return;
    const reply = answer(message, client, 'udp');
    if (reply === null || udp.getSendQueueSize() > UDP_UNSENT_BYTES_MAX) return;
    udp.send(reply, port, address, () => {}); // one that cannot be sent is lost, as on the way
  });
}

/** Addresses of one link bear its name (`fe80::1%eth0`), which says nothing here. */
function clientAt(address: string): Network | null {
  const parsed = parseAddress(address.split('%')[0] as string);
  return parsed === null ? null : unmapped(parsed);
}

function serveTcp(server: Server, connections: Set<Connection>, options: SocketsOptions): void {
  server.on('connection', (socket) => {
    const client = clientAt(socket.remoteAddress ?? '');
    if (client === null || isFull(connections, client)) {
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, client, options);
    connections.add(connection);
    socket.on('close', () => connections.delete(connection));
  });
}

function isFull(connections: ReadonlySet<Connection>, client: Network): boolean {
  if (connections.size >= CONNECTIONS_MAX) return true;
  const network = clientNetwork(client);
  let own = 0;
  for (const { client: other } of connections) if (commonBits(other, network) === network.bits) own += 1;
  return own >= CONNECTIONS_PER_NETWORK_MAX;
}

/** One client's. Queries are answered in order, and no faster than it reads. */
class Connection {
  readonly #socket: Socket;
  readonly client: Network;
  readonly #options: SocketsOptions;
  #received: Buffer = Buffer.alloc(0);
  #timer: Timer | null = null;
  /** The client sends no more: it gets its answers, then the end. */
  #heardAll = false;
  #ending = false;

  constructor(socket: Socket, client: Network, options: SocketsOptions) {
    this.#socket = socket;
    this.client = client;
    this.#options = options;
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => this.#timer?.cancel());
    socket.on('data', (chunk: Buffer) => {
      if (this.#ending) return;
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#answerAll();
    });
    socket.on('end', () => {
      this.#heardAll = true;
      if (!socket.writableNeedDrain) this.#answerAll();
    });
    socket.on('drain', () => {
      socket.resume();
      this.#answerAll();
    });
    this.#wait();
  }

  end(): void {
    this.#ending = true;
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Bytes alone keep nobody here: a whole query must come in time. */
  #wait(): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(IDLE_TIMEOUT_MS, () => this.#socket.destroy());
  }

  #answerAll(): void {
    while (!this.#ending && this.#received.length >= PREFIX_BYTES) {
      const length = this.#received.readUInt16BE(0);
      if (length > TCP_QUERY_BYTES_MAX) {
        this.destroy();
        return;
      }
      if (this.#received.length < PREFIX_BYTES + length) break;
      const message = this.#received.subarray(PREFIX_BYTES, PREFIX_BYTES + length);
      this.#received = this.#received.subarray(PREFIX_BYTES + length);
      const reply = this.#options.answer(message, this.client, 'tcp');
      if (reply === null) {
        this.end();
        return;
      }
      this.#wait();
      const prefix = Buffer.alloc(PREFIX_BYTES);
      prefix.writeUInt16BE(reply.length);
      // In one piece: some clients expect the length and the message together (RFC 7766, section 8).
      if (!this.#socket.write(Buffer.concat([prefix, reply]))) {
        this.#socket.pause();
        return;
      }
    }
    if (this.#heardAll) this.end();
  }
}
