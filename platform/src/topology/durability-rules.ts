/** Rules of services that say what outlives the loss of a region. */
import { type Add, escaped, type Loose, objectOf } from './faults.ts';

export function durabilityRules(services: Loose, hasCoordinator: boolean, add: Add): void {
  for (const [name, value] of Object.entries(services)) {
    const path = `/services/${escaped(name)}`;
    const { durability, rpoMsMax } = objectOf(value);
    const isAcross = durability === 'cross-region';
    // Without a coordinator no region follows another: such answers would wait in vain.
    if (isAcross && !hasCoordinator)
      add(`${path}/durability`, "'cross-region' needs a coordinator, and there is none");
    if (rpoMsMax === undefined) continue;
    if (isAcross)
      add(
        `${path}/rpoMsMax`,
        "is for the durability 'region' alone: with 'cross-region' every answer waits for a second region",
      );
    else if (!hasCoordinator)
      add(`${path}/rpoMsMax`, 'needs a coordinator, and there is none: no region follows another');
  }
}
