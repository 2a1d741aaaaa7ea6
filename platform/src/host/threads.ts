/** Worker threads that run one module: it exports `serve(host, port, init)`. */
import type { Host } from './host.ts';

export interface Threads {
  /** @param module URL of a module that exports `serve: ThreadMain` @param init structured-cloneable */
  spawn(module: URL, name: string, init: unknown): Thread;
}

/** Both ends of a thread see a port. Messages are structured-cloneable and arrive in order. */
export interface Port {
  post(message: unknown): void;
  onMessage(listener: (message: never) => void): void;
}

export interface Thread extends Port {
  /** Once: the thread ended, by `stop`, by itself, or by an error. */
  onExit(listener: (error: Error | null) => void): void;
  stop(): Promise<void>;
}

export type ThreadMain = (host: Host, port: Port, init: never) => void | Promise<void>;
