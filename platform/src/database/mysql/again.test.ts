/** What is tried again, by the number that a server tells. TiDB's are told by MariaDB here, over the same wire. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { isCardumeError } from '../../base/errors.ts';
import { realHost } from '../../host/real.ts';
import { serverNamed } from '../../testing/servers.ts';
import { again } from './again.ts';

const host = realHost();
const mariadb = await serverNamed(host, 'mariadb');

/** Fails once with the number. @returns how often it was begun */
async function triesOf(errno: number): Promise<number> {
  assert.ok(mariadb.skip === false);
  const { admin } = mariadb.server;
  let tries = 0;
  await again(host.clock, async () => {
    tries += 1;
    if (tries === 1) await admin.exec(`SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = ${errno}`);
  });
  return tries;
}

describe('work on a server', { skip: mariadb.skip }, () => {
  after(() => (mariadb.skip === false ? mariadb.server.admin.close() : undefined));

  for (const errno of [1205, 1213, 8002, 8022, 8028, 9007]) {
    test(`is done again when the server has undone it (${errno})`, async () => {
      assert.equal(await triesOf(errno), 2);
    });
  }

  for (const errno of [8025, 9001, 9002, 9003, 9004, 9005]) {
    test(`is left to the operator when its cluster cannot do it (${errno})`, async () => {
      await assert.rejects(triesOf(errno), (error) => isCardumeError(error, 'storage-failed'));
    });
  }
});
