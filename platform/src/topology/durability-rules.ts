/** Rules of services that say what outlives the loss of a region, and which regions may hold what. */
import { type Add, didYouMean, escaped, type Loose, objectOf } from './faults.ts';

export function durabilityRules(
  services: Loose,
  regions: readonly string[],
  hasCoordinator: boolean,
  add: Add,
): void {
  for (const [name, value] of Object.entries(services)) {
    const path = `/services/${escaped(name)}`;
    const { durability, rpoMsMax, residency } = objectOf(value);
    const isAcross = durability === 'cross-region';
    // Without a coordinator no region follows another: such answers would wait in vain.
    if (isAcross && !hasCoordinator)
      add(`${path}/durability`, "'cross-region' needs a coordinator, and there is none");
    if (rpoMsMax !== undefined) {
      if (isAcross)
        add(
          `${path}/rpoMsMax`,
          "is for the durability 'region' alone: with 'cross-region' every answer waits for a second region",
        );
      else if (!hasCoordinator)
        add(`${path}/rpoMsMax`, 'needs a coordinator, and there is none: no region follows another');
    }
    const needing = isAcross ? "the durability 'cross-region'" : rpoMsMax !== undefined ? 'rpoMsMax' : null;
    for (const [bornIn, policy] of Object.entries(objectOf(residency)))
      policyRules(`${path}/residency/${escaped(bornIn)}`, bornIn, objectOf(policy), regions, needing, add);
  }
}

/** @param needing what of the service needs a second region that holds its partitions */
function policyRules(
  path: string,
  bornIn: string,
  { regions: among, elsewhere }: Loose,
  known: readonly string[],
  needing: string | null,
  add: Add,
): void {
  if (!known.includes(bornIn)) {
    add(path, `there is no region '${bornIn}'${didYouMean(bornIn, known)}`);
    return;
  }
  if (!Array.isArray(among)) return;
  for (const [i, region] of among.entries()) {
    if (typeof region !== 'string') continue;
    if (!known.includes(region))
      add(`${path}/regions/${i}`, `there is no region '${region}'${didYouMean(region, known)}`);
    else if (among.indexOf(region) < i) add(`${path}/regions/${i}`, `'${region}' is listed twice`);
  }
  if (among.length > 0 && !among.includes(bornIn))
    add(`${path}/regions`, `expected '${bornIn}' among them: its partitions are born there`);
  if (among.length === 1 && elsewhere === 'nothing' && needing !== null)
    add(path, `${needing} needs a second region that may hold them, and the policy names none`);
}
