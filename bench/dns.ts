/**
 * Questions to the edge's DNS server over UDP, beside a bare UDP socket in as many processes that sends every message
 * back as it came: what Node's sockets allow on this machine. Each question bears EDNS and a client's network; the policy
 * is `geo` over 1,000 networks.
 *
 *   node tools/launch.mjs bench/dns.ts
 */
import { createSocket } from 'node:dgram';
import { compared, type Figure, type Say } from './figure.ts';
import { startServer } from './server.ts';

const ROUNDS = 5;
const ROUND_MS = 2_000;
/** Questions under way; each answer sends the next. */
const WINDOW = 64;
/** What is lost on the way is asked anew. */
const LOST_MS = 200;

export async function run(say: Say = () => {}): Promise<Figure[]> {
  const dns = await startServer('dns-server.ts', 'dns');
  const echo = await startServer('dns-server.ts', 'echo');
  try {
    const rounds: { ours: number; reference: number }[] = [];
    for (let round = -1; round < ROUNDS; round += 1) {
      say(round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`);
      const isEven = round % 2 === 0;
      const first = await answersPerS(isEven ? dns.url : echo.url);
      const second = await answersPerS(isEven ? echo.url : dns.url);
      if (round >= 0)
        rounds.push(isEven ? { ours: first, reference: second } : { ours: second, reference: first });
    }
    const beside = 'a UDP socket that sends back what it gets';
    return [{ name: 'DNS answers', unit: 'answers/s', ...compared(rounds), beside, target: null }];
  } finally {
    await echo.stop();
    await dns.stop();
  }
}

async function answersPerS(url: string): Promise<number> {
  const { hostname, port } = new URL(url);
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, hostname, resolve));
  let answers = 0;
  let asked = 0;
  const ask = (): void => {
    asked += 1;
    socket.send(question(asked), Number(port), hostname, () => {});
  };
  socket.on('message', (message) => {
    if (message.readUInt16BE(6) !== 1 && message.readUInt8(2) >= 0x80)
      throw new Error('an answer without an address');
    answers += 1;
    ask();
  });
  let before = 0;
  const refill = setInterval(() => {
    if (answers === before) for (let i = 0; i < WINDOW; i += 1) ask();
    before = answers;
  }, LOST_MS);
  const begun = performance.now();
  for (let i = 0; i < WINDOW; i += 1) ask();
  await new Promise((resolve) => setTimeout(resolve, ROUND_MS));
  const seconds = (performance.now() - begun) / 1_000;
  clearInterval(refill);
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return answers / seconds;
}

const NAME = Buffer.from('\x04shop\x07cardume\x04test\x00', 'latin1');

/** A query of type A from another /24 each time. */
function question(id: number): Buffer {
  return Buffer.concat([
    Buffer.from([id >> 8, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]),
    NAME,
    Buffer.from([0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11]),
    Buffer.from([0, 8, 0, 7, 0, 1, 24, 0, 10 + (id & 3), id >> 8, id]),
  ]);
}

if (import.meta.main) console.log(await run(console.error));
