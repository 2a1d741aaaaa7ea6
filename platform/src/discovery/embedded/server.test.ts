import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realHost } from '../../host/real.ts';
import { embeddedUnderTest, simulatedHarness } from '../../testing/coordinator-embedded.ts';
import { simulation } from '../../testing/simulated/host.ts';
import { coordinatorConformance } from '../../testing/testing.ts';

coordinatorConformance('the embedded coordinator', () => {
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
});

for (const seed of [1, 2]) {
  coordinatorConformance(`the embedded coordinator, simulated, seed ${seed}`, () =>
    simulatedHarness(simulation({ seed })),
  );
}
