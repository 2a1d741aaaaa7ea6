/** The door opened on this machine. */
import { randomFillSync } from 'node:crypto';
import { writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as sleepFor } from 'node:timers/promises';
import type { Clock, Environment, Host, Random } from './host.ts';
import { realCryptography } from './real-cryptography.ts';
import { realDisk } from './real-disk.ts';
import { realNetwork } from './real-network.ts';
import { realSql } from './real-sql.ts';
import { realThreads } from './real-threads.ts';

export function realHost(): Host {
  return {
    clock: realClock,
    random: realRandom,
    crypto: realCryptography,
    disk: realDisk,
    sql: realSql,
    network: realNetwork,
    threads: realThreads(),
    env: realEnvironment,
  };
}

/** 24.8 days. Node fires a longer timer at once, so a long wait is made of several. */
const TIMER_MS_MAX = 2 ** 31 - 1;

const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs() {
    // `performance.now()` counts from the start of each thread.
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1_000 + nanoseconds / 1_000_000;
  },
  after(delayMs, callback) {
    let timer: NodeJS.Timeout;
    const arm = (restMs: number): void => {
      const laterMs = restMs - TIMER_MS_MAX;
      timer = laterMs > 0 ? setTimeout(() => arm(laterMs), TIMER_MS_MAX) : setTimeout(callback, restMs);
      timer.unref();
    };
    arm(delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (callback) => void setImmediate(callback),
  async sleep(delayMs) {
    let restMs = delayMs;
    for (; restMs > TIMER_MS_MAX; restMs -= TIMER_MS_MAX) await sleepFor(TIMER_MS_MAX);
    await sleepFor(restMs);
  },
};

/** Random bytes are drawn in blocks: one call into the kernel serves hundreds of ids. */
const BLOCK_BYTES = 4096;
let block = new Uint8Array(0);
let used = 0;

const realRandom: Random = {
  bytes(count) {
    if (count > BLOCK_BYTES) return randomFillSync(new Uint8Array(count));
    if (used + count > block.length) {
      block = randomFillSync(new Uint8Array(BLOCK_BYTES));
      used = 0;
    }
    used += count;
    return block.slice(used - count, used);
  },
  fraction: () => Math.random(),
};

const realEnvironment: Environment = {
  get: (name) => process.env[name],
  processId: process.pid,
  memoryBytes: () => process.memoryUsage.rss(),
  cores: availableParallelism(),
  runtime: `node ${process.versions.node}, sqlite ${process.versions.sqlite}`,
  write(line) {
    try {
      writeSync(1, `${line}\n`);
    } catch (error) {
      // A closed or full pipe must not end the server: the line is lost, the work goes on.
      if (!['EPIPE', 'EAGAIN'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  },
};
