/** Users who live in one region, and what the others hold of them: in their files, while it is away, and when it is back. */
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { readdir, readFile, rm } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { realHost } from 'cardume/host/real';
import type { ServiceTopology } from 'cardume/topology';
import { type Cluster, startCluster, until } from './cluster.fixture.ts';
import { inStep, regionsOf } from './in-step.fixture.ts';

const residency = (elsewhere: 'nothing' | 'sealed'): Partial<ServiceTopology> => ({
  residency: { 'eu-west': { regions: ['eu-west'], elsewhere } },
});

interface People {
  /** Of eu-west, and of us-east. */
  readonly eva: string;
  readonly ann: string;
}

async function registered({ done, staff }: Cluster): Promise<People> {
  const make = async (name: string, country: string): Promise<string> =>
    (await done('us-west', 'POST', '/users', { token: staff, body: { name, country } })).id;
  return { eva: await make('Eva Eigenart', 'DE'), ann: await make('Ann Aldous', 'US') };
}

/** Whether the id stands anywhere in the region's files of users. */
async function stands({ folder }: Cluster, region: string, id: string): Promise<boolean> {
  const files = (await readdir(`${folder}/${region}`)).filter((name) => name.startsWith('users-'));
  ok(files.length > 0);
  const bytes = await Promise.all(files.map((name) => readFile(`${folder}/${region}/${name}`)));
  return bytes.some((one) => one.includes(id));
}

/** Rows of an account in one of the region's databases. */
function rowsOf({ folder }: Cluster, region: string, file: string, table: string, id: string): number {
  const database = realHost().disk.database(`${folder}/${region}/users-0.${file}.db`, { readOnly: true });
  try {
    const [column, name] = table.split('.').toReversed();
    return database.prepare(`SELECT count(*) AS n FROM ${name} WHERE ${column} = ?`).get(id)?.['n'] as number;
  } finally {
    database.close();
  }
}

/** Whether the region has the key of the account's personal fields. */
const hasKey = (cluster: Cluster, region: string, id: string): boolean =>
  rowsOf(cluster, region, 'keys', 'subject_keys.subject', id) > 0;
const hasEntries = (cluster: Cluster, region: string, id: string): boolean =>
  rowsOf(cluster, region, 'log', 'entries.stream', id) > 0;

const named = async ({ ask, staff }: Cluster, from: string, id: string) =>
  (await ask(from, 'GET', `/users/${id}`, { token: staff })).body.name;

/** A read that may be old. */
const old = (token: string) => ({ token, headers: { 'cardume-max-staleness-ms': '60000' } });

/** The region is lost: what others may be home to has a new home, and these users have none until it is back. */
async function waitsForItsRegion(cluster: Cluster, { eva, ann }: People): Promise<void> {
  const { ask, staff, complaints } = cluster;
  await cluster.stop('eu-west', 'kill');
  // A list would be without them.
  const listed = ask('us-east', 'GET', '/users?limit=10', old(staff));
  await until('others have taken over what they may', async () =>
    (await regionsOf(cluster)).some(({ adopted }) => adopted > 0),
  );
  const replies = await Promise.all([listed, ask('us-east', 'GET', `/users/${eva}`, { token: staff })]);
  deepEqual(
    replies.map(({ status, body }) => [status, body.code]),
    [
      [503, 'deadline-exceeded'],
      [503, 'partition-unavailable'],
    ],
  );
  equal(await named(cluster, 'us-west', ann), 'Ann Aldous');
  ok(
    complaints.some((line) =>
      /'users' of eu-west may be at home in eu-west alone.*no other may be home/.test(line),
    ),
  );

  await cluster.start('eu-west');
  await until('it is back', async () => (await named(cluster, 'us-east', eva)) === 'Eva Eigenart');
  const change = { token: staff, body: { name: 'Eva Andere' } };
  equal((await ask('us-east', 'PATCH', `/users/${eva}`, change)).status, 200);
}

const skip =
  process.env['CARDUME_ENGINE'] === undefined ? false : 'skipped: regions are tried on files alone';

describe('residency', { skip }, () => {
  test('nothing of users who live in one region stands in another, and no other is home to them', async () => {
    const cluster = await startCluster({ coordinated: true, services: { users: residency('nothing') } });
    try {
      const { done, ask, staff } = cluster;
      const people = await registered(cluster);
      const { eva, ann } = people;
      // Whose account is active behind an effect, which waits for no other region: none will ever have its cause.
      const own = {
        name: 'Emil Ernst',
        country: 'AT',
        email: 'emil@example.com',
        password: 'many-small-fish',
      };
      const emil = (await done('us-west', 'POST', '/users', { key: 'emil', body: own })).id;
      await inStep(cluster);
      equal(hasEntries(cluster, 'us-east', emil), false);
      equal(hasEntries(cluster, 'eu-west', emil), true);
      for (const region of ['us-east', 'us-west']) {
        equal(await stands(cluster, region, eva), false, region);
        equal(await stands(cluster, region, ann), true, region);
      }
      equal(await stands(cluster, 'eu-west', ann), true);
      const { items } = await done('us-east', 'GET', '/users?limit=10', old(staff));
      ok(items.some(({ id }: { id: string }) => id === eva));

      await waitsForItsRegion(cluster, people);
      for (const from of ['us-east', 'us-west'])
        await done('us-west', 'POST', `/operators/regions/${from}/switchover`, {
          token: staff,
          body: { to: 'eu-west', born_in: 'eu-west' },
        });
      const away = { token: staff, body: { to: 'us-east', born_in: 'eu-west' } };
      const moved = await done('us-west', 'POST', '/operators/regions/eu-west/switchover', away);
      deepEqual([moved.partitions > 0, moved.kept], [true, 16]);
      match(moved.kept_why.join(), /^'users' of eu-west may be at home in eu-west alone/);
      const refused = await ask('us-west', 'POST', '/operators/regions/eu-west/switchover', away);
      deepEqual([refused.status, refused.body.code], [409, 'conflict']);
      match(refused.body.detail, /'users' of eu-west may be at home in eu-west alone/);
      equal(await named(cluster, 'us-east', eva), 'Eva Andere');
      equal(await stands(cluster, 'us-east', eva), false);
    } finally {
      await cluster.close();
    }
  });

  test('a sealed copy has no keys; it is a second disk and never a home, and outlives its home`s disk', async () => {
    const users = { ...residency('sealed'), durability: 'cross-region' } as const;
    const cluster = await startCluster({ coordinated: true, services: { users } });
    try {
      const people = await registered(cluster);
      await inStep(cluster);
      for (const region of ['us-east', 'us-west']) {
        equal(await stands(cluster, region, people.eva), true, region);
        equal(hasKey(cluster, region, people.eva), false, region);
        equal(hasKey(cluster, region, people.ann), true, region);
      }
      equal(hasKey(cluster, 'eu-west', people.eva), true);
      await waitsForItsRegion(cluster, people);
      await inStep(cluster);
      deepEqual(await cluster.faults(), []);

      await cluster.stop('eu-west', 'kill');
      await rm(`${cluster.folder}/eu-west`, { recursive: true });
      await cluster.start('eu-west');
      await until('its copies are found to have more than it', () =>
        cluster.complaints.some((line) => /a home has lost entries that a copy has/.test(line)),
      );
      const statusOf = async (): Promise<number> =>
        (await cluster.ask('us-east', 'GET', `/users/${people.eva}`, { token: cluster.staff })).status;
      equal(await statusOf(), 503);
      for (const region of ['us-east', 'us-west']) ok(hasEntries(cluster, region, people.eva), region);

      // An operator gives up what the copies have: the region goes on with what it has itself.
      for (const region of cluster.regions) await cluster.stop(region, 'drain');
      const given = { ...residency('nothing'), durability: 'region' } as const;
      await Promise.all(cluster.regions.map((region) => cluster.start(region, { users: given })));
      await until('the account is gone', async () => (await statusOf()) === 404);
    } finally {
      await cluster.close();
    }
  });

  test('a policy that changes takes hold at the next start: what a region may not have any more is deleted', async () => {
    const cluster = await startCluster({ coordinated: true });
    try {
      const { eva } = await registered(cluster);
      await inStep(cluster);
      equal(hasKey(cluster, 'us-east', eva), true);

      async function restarted(users: Partial<ServiceTopology>): Promise<void> {
        for (const region of cluster.regions) await cluster.stop(region, 'drain');
        await Promise.all(cluster.regions.map((region) => cluster.start(region, { users })));
        await inStep(cluster);
      }
      const held = () => [hasEntries(cluster, 'us-east', eva), hasKey(cluster, 'us-east', eva)];
      await restarted(residency('sealed'));
      deepEqual(held(), [true, false]);
      await restarted(residency('nothing'));
      deepEqual(held(), [false, false]);
      await restarted(residency('sealed'));
      deepEqual(held(), [true, false]);
      await restarted({});
      deepEqual(held(), [true, true]);
      equal(await named(cluster, 'us-east', eva), 'Eva Eigenart');
      deepEqual(await cluster.faults(), []);
    } finally {
      await cluster.close();
    }
  });
});
