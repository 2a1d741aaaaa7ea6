/** Main of a writer thread: the engines of its shards, each with its tail. A shard's work is done one after another. */
import { assert } from '../base/assert.ts';
import { CardumeError } from '../base/errors.ts';
import type { Host } from '../host/host.ts';
import type { Port } from '../host/threads.ts';
import type { Batch } from './batch.ts';
import type { Copies } from './copies.ts';
import type { Engine } from './engine.ts';
import { driverOf } from './engines.ts';
import type { Copied, CopyPage } from './log.ts';
import type { OpenTail, Tail, TailSource } from './tail.ts';
import {
  type CopyAnswer,
  type CopyRequest,
  type FromThread,
  type Opened,
  type Request,
  type TailAddress,
  type ToThread,
  toWire,
  type WriterInit,
} from './wire.ts';

interface Shard {
  readonly engine: Engine;
  readonly tail: Tail | null;
}

export function serve(host: Host, port: Port, init: WriterInit): void {
  let { leaseUntilMs } = init;
  const shards = new Map<number, Shard>();
  /** What each shard was asked for last. */
  const lines = new Map<number, Promise<void>>();

  function shardOf(id: number): Shard {
    const shard = shards.get(id);
    assert(shard !== undefined, `shard ${id} is open on this thread`);
    return shard;
  }

  /** @throws CardumeError `partition-unavailable` */
  function mayCommit(): void {
    if (leaseUntilMs === null || host.clock.monotonicMs() < leaseUntilMs) return;
    const detail = "the region's lease has run out: nothing is written until it is renewed";
    throw new CardumeError('partition-unavailable', detail);
  }

  async function open(
    id: number,
    { place, start, tail }: Extract<Request, { kind: 'open' }>,
  ): Promise<Opened> {
    if (shards.has(id)) await close(id); // its batch has an unknown outcome: only a new engine can tell
    const driver = await driverOf(host, place);
    const { engine, recovered, strays } = await driver.open(host, place, start, mayCommit);
    let opened: Tail | null;
    try {
      opened = tail === null ? null : await openTail(host, tail, engine);
    } catch (error) {
      await engine.close();
      throw error;
    }
    shards.set(id, { engine, tail: opened });
    return { heads: engine.heads(), recovered, strays, report: opened?.report?.() };
  }

  async function close(id: number): Promise<void> {
    const { engine, tail } = shardOf(id);
    shards.delete(id);
    try {
      await tail?.close();
    } finally {
      await engine.close();
    }
  }

  async function answer(id: number, body: Request): Promise<unknown> {
    if (body.kind === 'open') return open(id, body);
    const { engine, tail } = shardOf(id);
    switch (body.kind) {
      case 'ask':
        assert(tail?.ask !== undefined, 'the log has a tail that answers');
        return tail.ask(body.message as never);
      case 'forget':
        return engine.forgetAnswers(body.beforeMs, body.entriesMax);
      case 'archive':
        return engine.archive(body.asked);
      case 'quarantined':
        return engine.quarantine.list(body.after, body.entriesMax);
      case 'settle':
        return engine.quarantine.settle(body.ids, body.decision);
      case 'close':
        await close(id);
        return null;
      default:
        // A home comes only to who may write, and what was dropped is begun anew by nobody else: a process that stood still
        // does not do it beside its successor.
        if (body.kind === 'adopt' || body.kind === 'unseat' || body.kind === 'begin') mayCommit();
        return onCopy(engine.copies, tail, body);
    }
  }

  async function reply(shard: number, request: number, body: Request): Promise<void> {
    let message: FromThread;
    try {
      message = { shard, reply: request, value: await answer(shard, body) };
    } catch (error) {
      message = { shard, reply: request, error: toWire(error) };
    }
    try {
      port.post(message);
    } catch (error) {
      port.post({ shard, reply: request, error: toWire(error) } satisfies FromThread); // the value cannot be cloned
    }
  }

  async function append(id: number, batch: Batch): Promise<void> {
    const { engine, tail } = shardOf(id);
    const { outcome, entries } = await engine.commit(batch);
    const message = { shard: id, appended: outcome };
    try {
      const report = tail === null || entries.length === 0 ? undefined : await tail.commit(entries);
      port.post({ ...message, report } satisfies FromThread);
    } catch (error) {
      // The tail threw, or its report cannot be cloned: the append stands all the same.
      port.post({ ...message, report: { error: toWire(error).message } } satisfies FromThread);
    }
  }

  /** What it throws is a bug, and ends the thread. */
  function inTurn(shard: number, work: () => Promise<void>): void {
    const done = (lines.get(shard) ?? Promise.resolve()).then(work).catch((error: unknown) =>
      host.clock.soon(() => {
        throw error;
      }),
    );
    lines.set(shard, done);
  }

  port.onMessage((message: ToThread) => {
    if (!('shard' in message)) {
      leaseUntilMs = message.leaseUntilMs; // also for a batch that is under way
      return;
    }
    const { shard } = message;
    if ('append' in message) inTurn(shard, () => append(shard, message.append));
    else inTurn(shard, () => reply(shard, message.request, message.body));
  });
}

async function onCopy(copies: Copies, tail: Tail | null, request: CopyRequest): Promise<unknown> {
  switch (request.kind) {
    case 'begin':
      return copies.begin(request.partition);
    case 'follow':
      return copies.follow(request.partition, request.aboveEpoch);
    case 'tend':
      await copies.check(request.partition);
      assert(tail?.ask !== undefined, 'the log has a tail that answers');
      return tail.ask(request.message as never);
    case 'copy':
      return onPages(copies, tail, request.pages);
    case 'adopt':
      return copies.adopt(request.partition, request.epoch, request.floor);
    case 'release':
      return copies.release(request.partition);
    case 'unseat':
      return copies.unseat(request.partition);
    case 'cut':
      return copies.cut(request.head, request.afterPosition, request.entriesMax);
    case 'drop':
      return copies.drop(request.partition, request.entriesMax);
  }
}

async function onPages(copies: Copies, tail: Tail | null, pages: readonly CopyPage[]): Promise<CopyAnswer> {
  const copied = await copies.copy(pages);
  // All, also what stood already: a tail passes over what it has, and may have missed some.
  const taken = pages.flatMap(({ entries }, i) => ('refused' in (copied[i] as Copied) ? [] : entries));
  try {
    return { copied, report: tail === null || taken.length === 0 ? null : await tail.commit(taken) };
  } catch (error) {
    return { copied, report: { error: toWire(error).message } }; // the copies stand all the same
  }
}

async function openTail(host: Host, address: TailAddress, engine: Engine): Promise<Tail> {
  const module = (await host.threads.load(address.module)) as { openTail?: OpenTail };
  assert(module.openTail !== undefined, `${address.module} exports openTail`);
  const source: TailSource = {
    read: engine.reader.readPartition,
    heads: () => [...engine.heads(), ...engine.copies.heads()],
  };
  return module.openTail(host, address.init as never, source);
}
