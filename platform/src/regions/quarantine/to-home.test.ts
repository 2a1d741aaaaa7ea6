import { deepStrictEqual, match } from 'node:assert/strict';
import { test } from 'node:test';
import house from '../../../../cardume.config.ts';
import type { Entry } from '../../events/log.ts';
import { residencyIn } from '../../topology/residency.ts';
import type { ServiceTopology } from '../../topology/topology.ts';
import type { Came } from './request.ts';
import { toHome } from './to-home.ts';

const EU = 3 * 1024;
const users: ServiceTopology = {
  ...(house.services['users'] as ServiceTopology),
  residency: { 'eu-west': { regions: ['eu-west', 'us-west'], elsewhere: 'sealed' } },
};
const residency = residencyIn({ ...house, services: { ...house.services, users } });

/** What becomes of a stream that was cut off a copy in one region, while another is home; and who was asked. */
async function sent(
  here: string,
  home: string,
): Promise<{ came: readonly Came[]; asked: readonly string[] }> {
  const asked: string[] = [];
  const entry = { partition: EU, stream: 'acc_1', type: 'Named', data: '{}', checksum: new Uint8Array(16) };
  const parted = entry as unknown as Entry;
  const { send } = toHome({
    here,
    homeOf: () => home,
    residency,
    homeShard: () => undefined,
    holder: () => undefined,
    async ask(region) {
      asked.push(region);
      return [{ why: null, isOpen: false }];
    },
  });
  return { came: await send('users', EU, [{ stream: 'acc_1', parted, entries: [] }]), asked };
}

test('what was cut off goes with its keys, from and to regions that may have them alone', async () => {
  deepStrictEqual(await sent('us-west', 'eu-west'), {
    came: [{ why: null, isOpen: false }],
    asked: ['eu-west'],
  });

  const sealed = await sent('us-east', 'eu-west');
  deepStrictEqual([sealed.asked, sealed.came[0]?.isOpen], [[], false]);
  match(
    sealed.came[0]?.why ?? '',
    /^us-east has no keys .*'users' of eu-west may be at home in eu-west, us-west/,
  );

  // As long as the home has not been moved to where the policy lets it be.
  const stray = await sent('eu-west', 'us-east');
  deepStrictEqual([stray.asked, stray.came[0]?.isOpen], [[], true]);
  match(stray.came[0]?.why ?? '', /^its home now, us-east, may not have its keys/);
});
