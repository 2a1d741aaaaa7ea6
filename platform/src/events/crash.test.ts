/**
 * Real processes, killed and stopped: what was acknowledged stands, and a stale writer writes nothing.
 *
 * The file is also the other process: with a place it opens that log and takes orders from standard input,
 *
 *   load          appends without end over 16 streams
 *   append NAME   appends one event
 *
 * and writes (at once: pipes are synchronous) `open`, then for each acknowledged event `ack PARTITION POSITION STREAM VERSION`, or `refused CODE`.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import { realHost } from '../host/real.ts';
import { serverNamed } from '../testing/servers.ts';
import { driverOf } from './engines.ts';
import { type LogPlace, openLog, openWriterPool } from './events.ts';
import { verifyLog } from './verify.ts';

const STREAMS = 16;
const PARTITIONS = [1, 2, 3];

interface Child {
  readonly process: ChildProcess;
  readonly lines: string[];
  /** Waits for a line that begins so. */
  line(start: string): Promise<string>;
  order(text: string): void;
}

function start(place: LogPlace, round: number): Child {
  const process_ = spawn(process.execPath, [import.meta.filename, JSON.stringify(place), String(round)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  let rest = '';
  let wake: () => void = () => undefined;
  process_.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() as string;
    lines.push(...parts);
    wake();
  });
  process_.on('exit', () => wake());
  return {
    process: process_,
    lines,
    async line(begin) {
      for (;;) {
        const found = lines.find((line) => line.startsWith(begin));
        if (found !== undefined) return found;
        assert.equal(process_.exitCode, null, `the child ended without '${begin}'`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    order: (text) => void process_.stdin.write(`${text}\n`),
  };
}

async function end(child: Child, signal: NodeJS.Signals): Promise<void> {
  assert.equal(child.process.exitCode, null, 'the child lives until it is killed');
  const exited = once(child.process, 'close');
  child.process.kill(signal);
  await exited;
}

async function serveOrders(place: LogPlace, round: string): Promise<void> {
  const host = realHost();
  const pool = openWriterPool(host, { threadsMax: 1 });
  const bounds = { batchEntriesMax: 32, queueEntriesMax: 1_000 };
  const log = await openLog(host, { ...place, partitions: PARTITIONS, pool, bounds });
  process.stdout.write('open\n');

  async function append(partition: number, stream: string, version: number): Promise<void> {
    const entry = {
      stream,
      version,
      type: 'Loaded',
      data: `{"of":"${stream}"}`,
      meta: null,
      key: `${stream}/${version}`,
      atMs: 1,
    };
    const { position } = await log.append(partition, [entry]);
    process.stdout.write(`ack ${partition} ${position} ${stream} ${version}\n`);
  }

  async function load(writer: number): Promise<never> {
    for (let version = 1; ; version += 1) {
      await append(PARTITIONS[writer % PARTITIONS.length] as number, `round-${round}-${writer}`, version);
    }
  }

  createInterface(process.stdin).on('line', (line) => {
    const [order, name] = line.split(' ');
    if (order === 'load') for (let writer = 0; writer < STREAMS; writer += 1) void load(writer);
    else {
      append(1, name as string, 1).catch((error) => {
        process.stdout.write(`refused ${isCardumeError(error) ? error.code : error}\n`);
      });
    }
  });
}

const [orderedPlace, orderedRound] = process.argv.slice(2);
if (orderedPlace !== undefined) await serveOrders(JSON.parse(orderedPlace), orderedRound as string);
else await registerTests();

interface Engine {
  readonly name: string;
  readonly kills: number;
  readonly skip: string | false;
  /** An empty place, and what clears it away. */
  place(): Promise<{ readonly place: LogPlace; clear(): Promise<void> }>;
}

async function enginesHere(): Promise<Engine[]> {
  const found = await serverNamed(realHost(), 'mariadb');
  if (found.skip === false) after(() => found.server.admin.close());
  return [
    {
      name: 'SQLite',
      kills: 50,
      skip: false,
      async place() {
        const folder = mkdtempSync(join(tmpdir(), 'cardume-crash-'));
        return {
          place: { path: join(folder, 'shard.db') },
          clear: async () => rmSync(folder, { recursive: true, force: true }),
        };
      },
    },
    {
      name: found.name,
      kills: 15,
      skip: found.skip,
      async place() {
        assert.ok(found.skip === false);
        const { address, drop } = await found.server.newDatabase();
        return { place: { sql: address }, clear: drop };
      },
    },
  ];
}

async function registerTests(): Promise<void> {
  for (const engine of await enginesHere()) {
    describe(`processes over ${engine.name}`, { skip: engine.skip }, () => testsOver(engine));
  }
}

function testsOver({ kills, place: newPlace }: Engine): void {
  test(`no acknowledged event is lost when the process is killed, ${kills} times`, {
    timeout: 120_000,
  }, async () => {
    const { place, clear } = await newPlace();
    const host = realHost();
    const acknowledged: string[] = [];
    let next = start(place, 0);
    try {
      await next.line('open');
      for (let round = 0; round < kills; round += 1) {
        const child = next;
        child.order('load');
        // Somewhere in its first 30 to 180 acknowledged events: between and within commits.
        const enough = 30 + Math.floor(Math.random() * 150);
        while (child.lines.length < enough) await new Promise(setImmediate);
        await end(child, 'SIGKILL');
        acknowledged.push(...child.lines.filter((line) => line.startsWith('ack')));
        next = start(place, round + 1); // it recovers the log while we look at it

        const { faults, entries, heads } = await verifyLog(host, place);
        assert.deepEqual(faults, [], `round ${round}`);
        assert.ok(entries >= acknowledged.length, `${entries} entries, ${acknowledged.length} acknowledged`);
        const killed = child.lines.filter((line) => line.startsWith('ack'));
        await checkAcknowledged(place, killed, `round ${round}`);
        assert.equal(heads.length, 3);
        await next.line('open');
      }
      // All of them once more, in the end: later rounds took nothing away.
      await checkAcknowledged(place, acknowledged, 'in the end');
      assert.ok(acknowledged.length >= kills * 25, `${acknowledged.length} events were acknowledged`);
    } finally {
      await end(next, 'SIGKILL');
      await clear();
    }
  });

  test('a writer that was stopped while another took over is fenced', { timeout: 30_000 }, async () => {
    const { place, clear } = await newPlace();
    const host = realHost();
    const child = start(place, 0);
    const pool = openWriterPool(host, { threadsMax: 1 });
    try {
      await child.line('open');
      child.order('append before');
      await child.line('ack');
      child.process.kill('SIGSTOP');
      child.order('append stale'); // waits in the pipe

      const bounds = { batchEntriesMax: 8, queueEntriesMax: 8 };
      const log = await openLog(host, { ...place, partitions: [1], pool, bounds });
      const entry = { stream: 'new', version: 1, type: 'Taken', data: '{}', meta: null, key: null, atMs: 1 };
      const { epoch, position } = await log.append(1, [entry]);
      assert.deepEqual([epoch, position], [2, 2]);

      child.process.kill('SIGCONT');
      assert.equal(await child.line('refused'), 'refused fenced');
      await log.append(1, [{ ...entry, version: 2 }]);
      const entries = await log.readPartition(1, 0, 10);
      assert.deepEqual(
        entries.map((one) => `${one.epoch} ${one.stream}@${one.version}`),
        ['1 before@1', '2 new@1', '2 new@2'],
      );
      assert.equal(await log.findAnswer(1, 'stale/1'), null);
      assert.deepEqual(await log.readStream(1, 'stale', 1, 10), []);
      await log.close();
      assert.deepEqual((await verifyLog(host, place)).faults, []);
    } finally {
      await end(child, 'SIGKILL');
      await pool.close();
      await clear();
    }
  });
}

/** @param lines `ack PARTITION POSITION STREAM VERSION` */
async function checkAcknowledged(place: LogPlace, lines: readonly string[], when: string): Promise<void> {
  const host = realHost();
  const reader = await (await driverOf(host, place)).openReader(host, place);
  try {
    for (const line of lines) {
      const [, partition, position, stream, version] = line.split(' ');
      const [entry] = await reader.readPartition(Number(partition), Number(position) - 1, 1);
      assert.equal(`${entry?.stream} ${entry?.version}`, `${stream} ${version}`, `${when}: ${line}`);
      const answer = await reader.findAnswer(Number(partition), `${stream}/${version}`);
      assert.equal(answer?.position, Number(position));
    }
  } finally {
    await reader.close();
  }
}
