/** The command line from outside: output, help, exit codes. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { realHost } from 'cardume/host/real';
import { openSecrets } from './secrets.ts';

const entry = fileURLToPath(new URL('./cardume.ts', import.meta.url));
const houseConfig = fileURLToPath(new URL('../../cardume.config.ts', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'cardume-cli-'));
after(() => rm(folder, { recursive: true }));

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function cardume(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [entry, ...args], { cwd: folder }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

const commands = ['start', 'instance', 'token', 'check-config', 'regions', 'drill', 'import'];

test('help names every command, and the help of each has an example', async () => {
  const { code, out } = await cardume('--help');
  assert.equal(code, 0);
  const helps = await Promise.all(commands.map((command) => cardume(command, '--help')));
  for (const [i, command] of commands.entries()) {
    assert.match(out, new RegExp(`^  ${command} `, 'm'));
    assert.equal(helps[i]?.code, 0);
    assert.match(
      helps[i]?.out ?? '',
      new RegExp(`Examples?:\\n[^]*cardume ${command}|Examples?:\\n[^]*npm ${command}`),
    );
  }
});

test('wrong use is said on standard error, with exit code 2', async () => {
  const cases: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [['strat'], /unknown command 'strat'\n\(Did you mean start\?\)/],
    [['start', '--prot', '1'], /unknown option '--prot'\n\(Did you mean --port\?\)/],
    [['start', '--port', 'http'], /expected a port from 1 to 65535/],
    [['start', '--port', '65536'], /expected a port from 1 to 65535/],
    [
      ['start', '--regions', 'us-east,mars'],
      /There is no region 'mars'.*\nRegions are us-east, us-west, eu-west\./,
    ],
    [['drill'], /Which drill\?\nName one of region-loss, .*, or use --all\./],
    [['drill', 'flood'], /There is no drill 'flood'\.\nDrills are region-loss, /],
    [['drill', 'clock-jump'], /There is no drill 'clock-jump': the clocks/],
    [['drill', 'region-loss', 'mars'], /There is no region 'mars'/],
    [['drill', 'region-loss', '--durability', 'some'], /Allowed choices are region, cross-region/],
    [['drill', 'region-loss', '--etcd', 'nowhere'], /coordinator\/endpoints/],
    [['regions', 'quarantine', 'resubmit'], /It takes ids, or else --all and --region\./],
    [['regions', 'quarantine', 'discard', '--all'], /It takes ids, or else --all and --region\./],
    [['regions', 'quarantine', 'discard', 'a/b/c', '--all', '--region', 'x'], /ids, or else --all/],
    [['regions', 'quarantine', '--partition', 'x'], /'x' is no partition\.\nWrite it as 3\/7/],
    [['instance'], /required option '--region <name>' not specified/],
    [['token', '--role', 'king'], /Allowed choices are staff, customer/],
    [['token', '--role', 'customer'], /A customer token needs an account\./],
    [['check-config', '--config', 'none.ts'], /There is no file .*none\.ts\./],
  ];
  const outcomes = await Promise.all(cases.map(([args]) => cardume(...args)));
  for (const [i, [args, says]] of cases.entries()) {
    const { code, out, err } = outcomes[i] as Outcome;
    assert.equal(code, 2, args.join(' '));
    assert.match(err, says);
    assert.equal(out, '');
  }
});

test('options belong to the command that they stand behind', async () => {
  const all = ['regions', 'quarantine', 'resubmit', '--all', '--region', 'us-east'];
  const { code, err } = await cardume(...all, '--api', 'http://127.0.0.1:1', '--token', 'x');
  assert.equal(code, 1);
  assert.match(err, /^http:\/\/127\.0\.0\.1:1 does not answer/);
});

test('check-config names every fault at its path, and what policies of residency forfeit', async () => {
  const good = await cardume('check-config', '--json');
  assert.equal(good.code, 0);
  assert.deepEqual((JSON.parse(good.out) as { regions: string[] }).regions, [
    'us-east',
    'us-west',
    'eu-west',
  ]);

  const policy = join(folder, 'policy.config.ts');
  await writeFile(
    policy,
    `import house from ${JSON.stringify(houseConfig)};
const users = { ...house.services.users, residency: { 'eu-west': { regions: ['eu-west'], elsewhere: 'nothing' } } };
export default { ...house, services: { ...house.services, users } };`,
  );
  const forfeit = 'users of eu-west: held by eu-west alone; forfeits ';
  const [told, asJson] = await Promise.all([
    cardume('check-config', '--config', policy),
    cardume('check-config', '--config', policy, '--json'),
  ]);
  assert.ok(told.out.split('\n')[1]?.startsWith(forfeit), told.out + told.err);
  const [{ sentence, ...rest }] = (JSON.parse(asJson.out) as { residency: [{ sentence: string }] }).residency;
  assert.deepEqual(rest, {
    service: 'users',
    born_in: 'eu-west',
    regions: ['eu-west'],
    elsewhere: 'nothing',
  });
  assert.ok(sentence.startsWith(forfeit));

  const broken = join(folder, 'broken.config.ts');
  await writeFile(
    broken,
    `import house from ${JSON.stringify(houseConfig)};
export default { ...house, edge: { host: '127.0.0.1', port: 0 }, nmae: 'x', bounds: { ...house.bounds, drainTimeoutMs: -1 } };`,
  );
  const wrong = await cardume('check-config', '--config', broken);
  assert.equal(wrong.code, 2);
  for (const path of ['/edge/port', '/nmae', '/bounds/drainTimeoutMs'])
    assert.ok(wrong.err.includes(path), wrong.err);

  const unreadable = join(folder, 'unreadable.config.ts');
  await writeFile(unreadable, 'export default {');
  const outcome = await cardume('check-config', '--config', unreadable);
  assert.equal(outcome.code, 2);
  assert.match(outcome.err, /^unreadable\.config\.ts could not be read: /);
});

test('a token needs the secrets of a first start, and then is one line for a script', async () => {
  const none = await cardume('token', '--role', 'staff', '--data', 'empty');
  assert.equal(none.code, 1);
  assert.match(none.err, /There are no secrets in .*empty yet\.\n`npm start` makes them/);

  await openSecrets(realHost(), join(folder, 'data'));
  const staff = await cardume('token', '--role', 'staff', '--data', 'data');
  assert.equal(staff.code, 0, staff.err);
  assert.match(staff.out, /^eyJ[\w-]+\.[\w-]+\.[\w-]+\n$/);
  const customer = await cardume(
    'token',
    '--role',
    'customer',
    '--account',
    'acc_1',
    '--data',
    'data',
    '--json',
  );
  const parsed = JSON.parse(customer.out) as { role: string; id: string; expires_in_s: number };
  assert.deepEqual([parsed.role, parsed.id, parsed.expires_in_s], ['customer', 'acc_1', 3600]);
});
