/**
 * Installs and starts the servers that tests and benchmarks run against, on loopback ports of their own. Nothing of the
 * platform needs them on one machine: tests of an engine that does not run say so and are skipped.
 */
import { parseArgs } from 'node:util';
import { dig } from './dig.ts';
import { type Engine, isAlive, type Program, recall, remember } from './engine.ts';
import { etcd } from './etcd.ts';
import { mariadb } from './mariadb.ts';
import { mariadbReplica } from './mariadb-replica.ts';

const primary = mariadb('mariadb', { serverId: 1, port: 13_306 });
const engines: readonly (Engine | Program)[] = [
  primary,
  mariadbReplica('mariadb-replica', primary, 13_406),
  ...etcd,
  dig,
];

const help = `Servers for tests and benchmarks, on 127.0.0.1.

  npm run engines -- start            installs where needed, and starts all
  npm run engines -- start mariadb    one of them, or one kind: etcd is etcd-1, etcd-2 and etcd-3
  npm run engines -- status --json    what runs, and where
  npm run engines -- stop

${engines.map(({ name, about }) => `  ${name.padEnd(15)} ${about}`).join('\n')}

Data, logs and passwords stand in .cardume/engines. Tests find what runs there by themselves.
`;

interface Status {
  readonly engine: string;
  readonly kind: 'server' | 'program';
  readonly installed: boolean;
  readonly running: boolean;
  readonly address: string | null;
}

function statusOf(engine: Program): Status {
  const known = recall(engine.name);
  const running = known !== null && isAlive(known.pid);
  return {
    engine: engine.name,
    kind: 'start' in engine ? 'server' : 'program',
    installed: engine.installed(),
    running,
    address: running ? `${known.host}:${known.port}` : null,
  };
}

async function start(engine: Engine | Program): Promise<void> {
  if (statusOf(engine).running) return;
  if (!engine.installed()) {
    process.stderr.write(`installs ${engine.name}\n`);
    engine.install();
  }
  if (!('start' in engine)) return;
  process.stderr.write(`starts ${engine.name}\n`);
  remember(engine.name, await engine.start());
}

async function stop(engine: Engine | Program): Promise<void> {
  if (!('stop' in engine)) return;
  const known = recall(engine.name);
  if (known !== null && isAlive(known.pid)) await engine.stop(known);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' }, json: { type: 'boolean' } },
  });
  const [command, ...names] = positionals;
  if (values.help || command === undefined) {
    process.stdout.write(help);
    return;
  }
  const isCalled = (engine: Program, name: string): boolean => engine.name === name || engine.group === name;
  const unknown = names.find((name) => !engines.some((engine) => isCalled(engine, name)));
  if (unknown !== undefined)
    throw new Error(
      `there is no engine '${unknown}'; there are ${engines.map(({ name }) => name).join(', ')}`,
    );
  const chosen = engines.filter(
    (engine) => names.length === 0 || names.some((name) => isCalled(engine, name)),
  );
  if (command === 'start') for (const engine of chosen) await start(engine);
  else if (command === 'stop') for (const engine of chosen) await stop(engine);
  else if (command !== 'status') throw new Error(`there is no '${command}': expected start, stop or status`);
  const found = chosen.map(statusOf);
  if (values.json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else {
    for (const { engine, kind, installed, running, address } of found) {
      const resting = kind === 'server' ? 'does not run' : 'is installed';
      const state = running ? `runs on ${address}` : installed ? resting : 'is not installed';
      process.stdout.write(`${engine.padEnd(15)} ${state}\n`);
    }
  }
}

try {
  await main();
} catch (error) {
  process.exitCode = 1;
  process.stderr.write(`${(error as Error).message}\n`);
}
