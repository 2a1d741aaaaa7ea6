/**
 * Bugs that the simulation must find: small changes of the house's own sources, made while they are loaded and nowhere
 * else. Each is what a tired colleague might write. A bug whose text is not found in its file any more is an error, so
 * that no bug goes missing when the code moves on.
 */

import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { FaultKind } from '../plan.ts';
import { regionalBugs } from './regional.ts';

export interface Planted {
  readonly name: string;
  /** What goes wrong. */
  readonly what: string;
  readonly changes: readonly Change[];
  /** It takes dozens of seeds: CI searches for the others. */
  readonly isRare?: true;
  /** It is searched for in regions that take over from each other. */
  readonly isRegional?: true;
  /** The faults that show it: seeds whose plan lacks one of them are passed over. */
  readonly shownBy?: readonly FaultKind[];
}

interface Change {
  /** From the root of the house. */
  readonly file: string;
  /** Stands there once. */
  readonly find: string;
  readonly put: string;
}

const localBugs: readonly Planted[] = [
  {
    name: 'answer-before-fsync',
    what: 'commits are acknowledged before they are on the disk',
    changes: [
      {
        file: 'platform/src/database/sqlite/durable.ts',
        find: 'PRAGMA synchronous=FULL',
        put: 'PRAGMA synchronous=OFF',
      },
    ],
  },
  {
    name: 'wal-normal',
    what: 'the write-ahead log is synced at checkpoints only',
    changes: [
      {
        file: 'platform/src/database/sqlite/durable.ts',
        find: 'PRAGMA synchronous=FULL',
        put: 'PRAGMA synchronous=NORMAL',
      },
    ],
  },
  {
    name: 'no-fence',
    what: 'a host that lost its partition goes on writing',
    isRare: true,
    changes: [
      {
        file: 'platform/src/events/sqlite/engine.ts',
        find: 'WHERE partition = ? AND epoch = ? AND position = ?',
        put: 'WHERE partition = ? AND ? > 0 AND ? >= 0',
      },
      {
        file: 'platform/src/events/group-commit.ts',
        find: 'line.fenced || line.parting || epoch <= line.head.epoch) return false;',
        put: 'line.fenced || epoch > 0) return false;',
      },
    ],
  },
  {
    name: 'forgotten-key',
    what: 'answers are not remembered under their idempotency keys',
    changes: [
      {
        file: 'platform/src/events/sqlite/engine.ts',
        find: '    if (key === null) return;',
        put: '    return;',
      },
    ],
  },
  {
    name: 'forgotten-fingerprint',
    what: 'a key that is used for something else gets the old answer',
    changes: [
      {
        file: 'platform/src/cqrs/answers.ts',
        find: 'fingerprint !== undefined && fingerprint !== key.fingerprint',
        put: 'fingerprint === null',
      },
    ],
  },
  {
    name: 'dropped-event',
    what: 'the last event of a command with several is not written',
    changes: [
      {
        file: 'platform/src/events/sqlite/engine.ts',
        find: 'for (const entry of entries) insertOne(number, entry);',
        put: 'for (const entry of entries.slice(0, Math.max(1, entries.length - 1))) insertOne(number, entry);',
      },
    ],
  },
  {
    name: 'stale-batch-number',
    what: 'a failed batch passes for an older opener’s with the same number',
    changes: [
      {
        file: 'platform/src/events/sqlite/engine.ts',
        find: 'DO UPDATE SET epoch = max(epoch + 1, excluded.epoch), batch = excluded.batch',
        put: 'DO UPDATE SET epoch = max(epoch + 1, excluded.epoch)',
      },
      {
        file: 'platform/src/events/sqlite/engine.ts',
        find: 'transaction(database, () => statements.resolve.run());',
        put: "transaction(database, () => database.exec('UPDATE heads SET batch = batch'));",
      },
    ],
  },
  {
    name: 'read-before-commit',
    what: 'reads show what is not durable yet',
    isRare: true,
    changes: [
      {
        file: 'platform/src/cqrs/decisions.ts',
        find: 'if (live.pending === 0) {',
        put: 'if (live.pending >= 0) {',
      },
    ],
  },
  {
    name: 'kept-speculation',
    what: 'state that rests on a failed append is kept',
    changes: [
      {
        file: 'platform/src/cqrs/live.ts',
        find: 'if (live.partition === partition) cached.delete(id);',
        put: 'if (live.partition === partition && false) cached.delete(id);',
      },
    ],
  },
  {
    name: 'projected-twice',
    what: 'an event is folded a second time, behind later ones',
    changes: [
      {
        file: 'platform/src/cqrs/projector.ts',
        find: 'const entries = interest.size === 0 ? committed : await withMissing(committed);',
        put: 'const entries = (await withMissing(committed)).flatMap((entry, i, all) => (i === all.length - 1 && all[0] !== undefined && all.length > 1 ? [entry, { ...all[0], position: entry.position + 1 } as Entry] : [entry]));',
      },
    ],
  },
  {
    name: 'unprojected-event',
    what: 'the last event of a large batch does not reach the read models in time',
    isRare: true,
    changes: [
      {
        file: 'platform/src/cqrs/fold-entries.ts',
        find: 'for (const entry of entries) {\n        if (entry.position <= checkpoints',
        put: 'for (const entry of entries.slice(0, entries.length > 3 ? -1 : undefined)) {\n        if (entry.position <= checkpoints',
      },
    ],
  },
  {
    name: 'unmerged-shard',
    what: 'a sum over shards leaves out the last one',
    changes: [
      {
        file: 'platform/src/sharding/merge.ts',
        find: 'for (const part of parts) {',
        put: 'for (const part of parts.slice(0, Math.max(1, parts.length - 1))) {',
      },
    ],
  },
  {
    name: 'lost-timer',
    what: 'timers are not set again after a restart',
    changes: [
      {
        file: 'platform/src/cqrs/effects.ts',
        find: "if (effect.kind === 'timer') {",
        put: "if (effect.kind === 'timer' && of.recovered) return { cancel() {} };\n    if (effect.kind === 'timer') {",
      },
    ],
  },
  {
    name: 'forgotten-processes',
    what: 'a checkpoint of processes leaves out those that are open',
    changes: [
      {
        file: 'platform/src/cqrs/process-runner.ts',
        find: 'if (instance.partition === partition && instance.process === process)\n        states.set',
        put: 'if (instance.partition === partition && instance.process === process && states.size > 0)\n        states.set',
      },
    ],
  },
  {
    name: 'compensated-twice',
    what: 'stock is given back twice',
    changes: [
      {
        file: 'shop/src/orders/fulfilment.ts',
        find: "{ type: 'Return', order: id, quantity }, { key });",
        put: "{ type: 'Return', order: id, quantity });\n    await work.bus.send(stock, at, { type: 'Return', order: id, quantity }, { key });",
      },
    ],
  },
  {
    name: 'unkeyed-compensation',
    what: 'stock is given back again when the giving back was interrupted',
    changes: [
      {
        file: 'shop/src/orders/fulfilment.ts',
        find: "{ type: 'Return', order: id, quantity }, { key });",
        put: "{ type: 'Return', order: id, quantity });",
      },
    ],
  },
  {
    name: 'unkeyed-transfer',
    what: 'a transfer whose answer was lost arrives twice',
    changes: [
      {
        file: 'shop/src/products/transfer.ts',
        find: "{ type: 'ReceiveTransfer', ...sent }, { key });",
        put: "{ type: 'ReceiveTransfer', ...sent });",
      },
    ],
  },
  {
    name: 'transfer-forgotten',
    what: 'rights that were given to another region are carried by nobody',
    changes: [
      {
        file: 'shop/src/products/transfer.ts',
        find: "startsOn: ['TransferSent'],",
        put: "startsOn: ['TransferSettled'],",
      },
    ],
  },
  {
    name: 'kept-payment',
    what: 'the money of a cancelled order is kept',
    changes: [
      {
        file: 'shop/src/orders/fulfilment.ts',
        find: 'payments(work).refund(id) : payments(work).void(id)',
        put: 'payments(work).status(id) : payments(work).void(id)',
      },
    ],
  },
  {
    name: 'oversold',
    what: 'one piece more is sold than there is',
    changes: [
      {
        file: 'shop/src/products/stock.ts',
        find: '  if (left >= 0) {',
        put: '  if (left >= -1) {',
      },
    ],
  },
  {
    name: 'two-accounts',
    what: 'an e-mail that was confirmed can be claimed again',
    changes: [
      {
        file: 'platform/src/cqrs/claim.ts',
        find: 'const isTaken = !own && has !== null && (state.confirmed || atMs < state.untilMs);',
        put: 'const isTaken = !own && has !== null && !state.confirmed && atMs < state.untilMs;',
      },
    ],
  },
  {
    name: 'self-fenced',
    what: 'a host takes its own epoch, raised on a way back that was cut off, for another host’s',
    isRare: true,
    changes: [
      {
        file: 'platform/src/events/sqlite/reopen.ts',
        find: 'head.epoch === epoch || head.batch === -recovery.opener',
        put: 'head.epoch === epoch',
      },
    ],
  },
  {
    name: 'dropped-rows-come-back',
    what: 'rows of a partition that moved away are deleted, and not for certain',
    isRare: true,
    changes: [
      {
        file: 'platform/src/cqrs/shard-thread.ts',
        find: 'if (!(await readModels.settle())) return rowsMax;',
        put: '',
      },
    ],
  },
  {
    name: 'replica-ignores-the-past',
    what: 'a replica need only have what stood at the last look before the moment that is asked for',
    changes: [
      {
        file: 'platform/src/cqrs/freshness.ts',
        find: 'notes.find(({ atMs }) => atMs >= sinceMs)?.positions ?? positionsNow()',
        put: 'notes.findLast(({ atMs }) => atMs <= sinceMs)?.positions ?? positionsNow()',
      },
    ],
  },
  {
    name: 'replica-ignores-the-token',
    what: 'a replica answers although it lacks the write whose token was shown',
    changes: [
      {
        file: 'platform/src/cqrs/freshness.ts',
        find: 'const own = token?.partition === partition ? token.position : 0;',
        put: 'const own = 0;',
      },
    ],
  },
  {
    name: 'copies-are-read',
    what: 'a query counts a copy of a partition beside its home',
    isRare: true,
    changes: [
      {
        file: 'platform/src/instance/hosted.ts',
        find: 'if (isPart || isFiltered || (copies.get(name)?.size ?? 0) > 0)',
        put: 'if (isPart || isFiltered)',
      },
    ],
  },
  {
    name: 'keys-stay-behind',
    what: 'a partition moves without the keys of its subjects',
    changes: [
      {
        file: 'platform/src/instance/transfer.ts',
        find: 'await to.moving.putKeys(partition, page);',
        put: '',
      },
    ],
  },
];

export const planted: readonly Planted[] = [
  ...localBugs,
  ...regionalBugs.map((bug): Planted => ({ ...bug, isRegional: true })),
];

const root = new URL('../../../', import.meta.url);

export function bugNamed(name: string): Planted | undefined {
  return planted.find((one) => one.name === name);
}

/** Sources loaded from now on have the bug. @throws Error when a text of it is not found just once */
export function plant({ name, changes }: Planted): void {
  const sources = new Map<string, string>();
  for (const { file, find, put } of changes) {
    const url = new URL(file, root).href;
    const source = sources.get(url) ?? readFileSync(fileURLToPath(url), 'utf8');
    if (source.split(find).length !== 2)
      throw new Error(`the bug '${name}' has no place in ${file} any more: mend it in planted.ts`);
    sources.set(
      url,
      source.replace(find, () => put),
    );
  }
  registerHooks({
    load(url, context, next) {
      const source = sources.get(url);
      return source === undefined
        ? next(url, context)
        : { format: 'module-typescript', shortCircuit: true, source };
    },
  });
}
