/** What every host must do, the real one and the simulated one alike. Each case gets a fresh host. */
import { describe, test } from 'node:test';
import type { Host } from '../host/host.ts';
import { cryptography } from './host-conformance-cryptography.ts';
import { databases, files } from './host-conformance-disk.ts';
import { network } from './host-conformance-network.ts';
import { threads } from './host-conformance-threads.ts';
import { clock, environment, random } from './host-conformance-time.ts';

export interface HostUnderTest {
  readonly host: Host;
  /** Absolute; exists and is empty. */
  readonly folder: string;
  /** Lets the host work until the promise settles: the simulated one needs someone to pass its time. */
  done<T>(work: Promise<T>): Promise<T>;
  close(): void | Promise<void>;
}

const parts = { clock, random, cryptography, files, databases, network, threads, environment };
const CASE_TIMEOUT_MS = 10_000;

export function hostConformance(name: string, open: () => HostUnderTest | Promise<HostUnderTest>): void {
  for (const [part, cases] of Object.entries(parts)) {
    describe(`${name}: ${part}`, () => {
      for (const [title, body] of Object.entries(cases)) {
        test(title, { timeout: CASE_TIMEOUT_MS }, async () => {
          const under = await open();
          try {
            await under.done(body(under.host, under.folder));
          } finally {
            await under.close();
          }
        });
      }
    });
  }
}
