import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { realHost } from '../../host/real.ts';
import type { CoordinatorHarness } from '../../testing/coordinator-conformance.ts';
import { put, valuesOf } from '../../testing/coordinator-conformance-case.ts';
import { embeddedUnderTest, simulatedHarness } from '../../testing/coordinator-embedded.ts';
import { simulation } from '../../testing/simulated/host.ts';
import { coordinatorConformance } from '../../testing/testing.ts';

function realHarness(): CoordinatorHarness {
  const folder = mkdtempSync(join(tmpdir(), 'cardume-coordinator-'));
  const under = embeddedUnderTest({
    ...{ host: realHost(), listen: '127.0.0.1', path: join(folder, 'coordinator', 'coordinator.db') },
  });
  return {
    ...under,
    done: (work) => work,
    async close() {
      await under.close();
      rmSync(folder, { recursive: true });
    },
  };
}

coordinatorConformance('the embedded coordinator', realHarness);

test('the embedded coordinator serves what came while it stood still before it ends a lease', async () => {
  const under = realHarness();
  try {
    const client = await under.open();
    const lease = await client.grant(under.ttlMs);
    await put(client, { key: 'held', value: '', lease: lease.id });
    const renewed = lease.renew();
    // It has left when this turn ends; then nothing runs in this process until the lease's time is over.
    await new Promise<void>((resolve) => under.host.clock.soon(resolve));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, under.ttlMs + 200);
    await renewed;
    assert.deepEqual(await valuesOf(client), { held: '' });
  } finally {
    await under.close();
  }
});

for (const seed of [1, 2]) {
  coordinatorConformance(`the embedded coordinator, simulated, seed ${seed}`, () =>
    simulatedHarness(simulation({ seed })),
  );
}
