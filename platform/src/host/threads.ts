/** Worker threads that run one module: it exports `serve(host, port, init)`. */
import type { Host } from './host.ts';

export interface Threads {
  /**
   * @param module URL of a module that exports `serve: ThreadMain` @param init structured-cloneable
   * @param youngMiBMax of its heap's young generation; 16 when left out, which keeps an idle thread small. A thread that
   *   makes much garbage spends less time on it with more.
   */
  spawn(module: URL, name: string, init: unknown, youngMiBMax?: number): Thread;
  /** Loads a module whose address came in a message. @returns its exports */
  load(module: string): Promise<Readonly<Record<string, unknown>>>;
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
