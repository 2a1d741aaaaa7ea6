/**
 * The only door to what is not a function of its arguments: time, randomness, cryptography, disk, database servers,
 * network, threads, environment. `realHost()` opens it on this machine; the simulated host of `testing` opens the same
 * door on virtual time and a seed. Nothing else in the house may touch the globals behind it (`tidy` checks).
 */
import type { Cryptography } from './cryptography.ts';
import type { Disk } from './disk.ts';
import type { Network } from './network.ts';
import type { SqlServers } from './sql.ts';
import type { Threads } from './threads.ts';

export interface Host {
  readonly clock: Clock;
  readonly random: Random;
  readonly crypto: Cryptography;
  readonly disk: Disk;
  readonly sql: SqlServers;
  readonly network: Network;
  readonly threads: Threads;
  readonly env: Environment;
}

export interface Clock {
  /** Wall clock, whole milliseconds since 1970; may jump. */
  nowMs(): number;
  /**
   * Monotonic clock, milliseconds with a fraction, from an arbitrary start; never goes back. It is the same on all threads,
   * and in all processes of the machine.
   */
  monotonicMs(): number;
  /** Calls once after the delay, unless cancelled. Never keeps a process alive by itself. */
  after(delayMs: number, callback: () => void): Timer;
  /** Calls when the pending input of the event loop was seen: the end of this turn. */
  soon(callback: () => void): void;
  sleep(delayMs: number): Promise<void>;
}

export interface Timer {
  cancel(): void;
}

export interface Random {
  /** Cryptographically strong in the real host. The array is the caller's. */
  bytes(count: number): Uint8Array;
  /** Uniform in [0, 1); for jitter and sampling, never for secrets. */
  fraction(): number;
}

export interface Environment {
  get(name: string): string | undefined;
  readonly processId: number;
  /** Resident memory of the process, bytes. */
  memoryBytes(): number;
  /** Cores that the process may use. */
  readonly cores: number;
  readonly runtime: string;
  /** One line to the operator; level and text, no secrets. Telemetry's logger is its only caller. */
  write(line: string): void;
}
