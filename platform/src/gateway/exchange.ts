/** One HTTP request and its answer, as the rim keeps them; the pipeline sees the `Incoming` in it. */
import type { ServerResponse } from 'node:http';
import type { FastifyRequest } from 'fastify';
import type { ConnectionMetrics, RouteMetrics } from '../telemetry/metrics.ts';
import { clientAddress } from './limits.ts';
import type { Incoming } from './pipeline.ts';

/** What is rarely needed is found on demand. */
export class Exchange implements Incoming {
  readonly request: FastifyRequest;
  readonly response: ServerResponse;
  readonly startMs: number;
  readonly of: RouteMetrics;
  readonly connections: ConnectionMetrics;
  readonly headers: Incoming['headers'];
  answered = false;
  mustClose = false;
  readonly #trustedProxies: ReadonlySet<string>;
  #listeners: (() => void)[] | null = null;

  constructor(
    request: FastifyRequest,
    response: ServerResponse,
    startMs: number,
    of: RouteMetrics,
    connections: ConnectionMetrics,
    trustedProxies: ReadonlySet<string>,
  ) {
    this.request = request;
    this.response = response;
    this.startMs = startMs;
    this.of = of;
    this.connections = connections;
    this.headers = request.raw.headers;
    this.#trustedProxies = trustedProxies;
  }

  get method(): string {
    return this.request.raw.method as string;
  }
  get params(): Record<string, unknown> {
    return this.request.params as Record<string, unknown>;
  }
  get search(): Record<string, unknown> {
    return this.request.query as Record<string, unknown>;
  }
  get body(): unknown {
    return this.request.body;
  }
  get clientAddress(): string {
    const peer = this.request.raw.socket.remoteAddress ?? '';
    const forwardedFor = this.headers['x-forwarded-for'];
    return clientAddress(
      peer,
      typeof forwardedFor === 'string' ? forwardedFor : undefined,
      this.#trustedProxies,
    );
  }

  readonly onGone = (listener: () => void): void => {
    if (this.#listeners === null) {
      this.#listeners = [];
      this.response.once('close', () => this.leave());
    }
    this.#listeners.push(listener);
  };

  /** The client is gone, or we give up on it. */
  leave(): void {
    const listeners = this.#listeners ?? [];
    this.#listeners = [];
    for (const listener of listeners) listener();
  }
}
