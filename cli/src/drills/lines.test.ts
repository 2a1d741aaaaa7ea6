/** A line between two real sockets. */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Connection, Listener } from 'cardume/host/network';
import { realHost } from 'cardume/host/real';
import { openLine } from './lines.ts';
import { freePorts } from './ports.ts';

const host = realHost();
const endings: (() => unknown)[] = [];
after(() => Promise.all(endings.map((end) => end())));

/** Answers each text with `<text>!`. */
async function opened() {
  const [port, target] = (await freePorts(host, 2)) as [number, number];
  const accepted: Connection[] = [];
  const listener: Listener = await host.network.listen({ host: '127.0.0.1', port: target }, (connection) => {
    accepted.push(connection);
    connection.onData((bytes) => connection.write(Buffer.from(`${Buffer.from(bytes)}!`)));
  });
  const line = await openLine(host, port, { host: '127.0.0.1', port: target });
  endings.push(
    () => line.close(),
    () => listener.close(),
  );
  return { line, accepted, target };
}

async function dialled(port: number) {
  const connection = await host.network.connect({ host: '127.0.0.1', port }, 1_000);
  let text = '';
  let isClosed = false;
  connection.onData((bytes) => {
    text += Buffer.from(bytes).toString();
  });
  connection.onClose(() => {
    isClosed = true;
  });
  endings.push(() => connection.close());
  return {
    connection,
    say: (words: string) => connection.write(Buffer.from(words)),
    heard: () => text,
    isClosed: () => isClosed,
  };
}

async function until(holds: () => boolean): Promise<void> {
  const endMs = host.clock.monotonicMs() + 5_000;
  while (!holds()) {
    ok(host.clock.monotonicMs() < endMs, 'not within 5 s');
    await host.clock.sleep(5);
  }
}

test('what is sent arrives, in order, as late as the line is slow each way', async () => {
  const { line } = await opened();
  const client = await dialled(line.port);
  client.say('a');
  await until(() => client.heard() === 'a!');
  line.setDelay(60);
  const sentMs = host.clock.monotonicMs();
  client.say('b');
  await until(() => client.heard() === 'a!b!');
  ok(host.clock.monotonicMs() - sentMs >= 119, 'there and back');
  line.setDelay(0);
  client.say('c');
  await until(() => client.heard() === 'a!b!c!');
});

test('a line that is cut swallows all, tells nobody, and delivers when it is whole again', async () => {
  const { line, accepted } = await opened();
  const client = await dialled(line.port);
  client.say('a');
  await until(() => client.heard() === 'a!');
  line.setCut(true);
  client.say('b');
  const late = await dialled(line.port);
  late.say('c');
  let sawEnd = false;
  accepted[0]?.onClose(() => {
    sawEnd = true;
  });
  const gone = await dialled(line.port);
  gone.connection.close();
  await host.clock.sleep(100);
  deepEqual([client.heard(), late.heard(), client.isClosed(), late.isClosed()], ['a!', '', false, false]);
  equal(accepted.length, 1, 'nobody new got through');
  line.setCut(false);
  await until(() => client.heard() === 'a!b!' && late.heard() === 'c!');
  client.connection.close();
  await until(() => sawEnd);
});

test('an end that goes away while the line is cut is heard of behind the cut', async () => {
  const { line, accepted } = await opened();
  const client = await dialled(line.port);
  client.say('a');
  await until(() => client.heard() === 'a!');
  let sawEnd = false;
  accepted[0]?.onClose(() => {
    sawEnd = true;
  });
  line.setCut(true);
  client.connection.close();
  await host.clock.sleep(100);
  equal(sawEnd, false);
  line.setCut(false);
  await until(() => sawEnd);
});

test('nobody at the end of the line: the connection ends', async () => {
  const [port, target] = (await freePorts(host, 2)) as [number, number];
  const line = await openLine(host, port, { host: '127.0.0.1', port: target });
  endings.push(() => line.close());
  const client = await dialled(port);
  await until(client.isClosed);
});
