/** One case of the hosts' conformance suite, and what the cases share. */
import assert from 'node:assert/strict';
import { type ErrorCode, isCardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';

/** Cases by title. The folder is absolute, exists, and is empty. */
export type Cases = Readonly<Record<string, (host: Host, folder: string) => Promise<void>>>;

export function hex(bytes: Uint8Array | string | null): string {
  return bytes === null ? 'null' : Buffer.from(bytes as Uint8Array).toString('hex');
}

export function text(bytes: Uint8Array | null): string {
  return bytes === null ? 'null' : Buffer.from(bytes).toString();
}

export async function fails(work: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(work, (error) => expected(error, code, message));
}

export function throwsCode(work: () => unknown, code: ErrorCode, message: RegExp): void {
  assert.throws(work, (error) => expected(error, code, message));
}

function expected(error: unknown, code: ErrorCode, message: RegExp): true {
  if (!isCardumeError(error, code)) throw error;
  assert.match(error.message, message);
  return true;
}

/** For what no promise tells: at most 5 s of the host's time. */
export async function until(host: Host, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = host.clock.monotonicMs() + 5_000;
  while (!(await condition())) {
    assert.ok(host.clock.monotonicMs() < endMs, `not within 5 s: ${condition}`);
    await host.clock.sleep(1);
  }
}
