/**
 * Schemas that change while programs of two versions use them: expand, then contract.
 *
 * A schema is a list of steps; its version is how many of them a program knows. A step adds something that the program
 * before neither sees nor needs, so both work side by side, and back: whoever opens a database carries out the steps that
 * it has not had yet. What the program before could not live with must not come about by an upgrade alone. Either use
 * brings it about (an operator switches on what leaves such rows), or a later step takes away what no program uses any
 * more that may still run. Both raise what the database *needs*: the version that a program must know to open it.
 *
 * So a database remembers two numbers: how far it is `expanded`, and what it `needs`. Between them lie the programs that
 * may open it. Whoever writes rows names their columns, since a later program may have added some.
 *
 * See Fowler and Sato, "Parallel Change", martinfowler.com, 2014.
 */
import { assert } from '../base/assert.ts';
import { CardumeError } from '../base/errors.ts';

/** Of databases that had no such table when schemas got versions; the log's has a name of its own. */
export const SCHEMA_TABLE = 'schema_versions';

export interface Schema {
  /** What has it, in errors: `log`. */
  readonly of: string;
  /** Where its numbers stand: a table of names and whole numbers. Several schemas of a database may share one. */
  readonly table: string;
  /** Name of the row with what the database needs. Behind it, with `_expanded`, how far it is expanded. */
  readonly row: string;
  /** A table of the first step. Where it stands without numbers, a program made it before there were any. */
  readonly sign: string;
  readonly steps: readonly Step[];
  /** How many of the steps the version before knows: a release sets it. */
  readonly released: number;
  /** From which version on a database can be brought to this one; what is older takes a program in between. */
  readonly oldest?: number;
}

export interface Step {
  /** What it brings, or takes away. */
  readonly what: string;
  /** Definitions. Each may have been carried out before, by one that was killed. */
  readonly statements: readonly string[];
  /** Version that a program must know to open what this step leaves; without it, any program may. */
  readonly needs?: number;
}

/** What a database remembers of a schema, and what it has of it. */
export interface Found {
  readonly expanded: number | null;
  readonly needs: number | null;
  /** The table of the first step is there. */
  readonly hasSign: boolean;
}

export interface Standing {
  readonly expanded: number;
  readonly needs: number;
  /** It has nothing of the schema, or is being made. */
  readonly isNew: boolean;
}

/** That of programs which remembered no numbers. */
const UNNUMBERED = 1;

export const expandedRow = ({ row }: Schema): string => `${row}_expanded`;

export function standingOf({ expanded, needs, hasSign }: Found): Standing {
  if (expanded !== null && expanded > 0) return { expanded, needs: needs ?? UNNUMBERED, isNew: false };
  const isNew = expanded === 0 || (needs === null && !hasSign);
  return isNew
    ? { expanded: 0, needs: 0, isNew }
    : { expanded: UNNUMBERED, needs: needs ?? UNNUMBERED, isNew };
}

/** @throws CardumeError `storage-failed` when this program must not open the database, with which one may */
export function checkStanding(name: string, schema: Schema, { expanded, needs, isNew }: Standing): void {
  const { of, steps, oldest = 0 } = schema;
  const known = steps.length;
  if (needs > known) {
    const detail = `${name} has ${of} schema ${needs}, and this program knows up to ${known}: run the newer version of it`;
    throw new CardumeError('storage-failed', detail);
  }
  if (!isNew && expanded < oldest) {
    const detail = `${name} has ${of} schema ${expanded}, and this program begins with ${oldest}: run the version before it once`;
    throw new CardumeError('storage-failed', detail);
  }
}

/** For who only reads. @throws CardumeError `storage-failed` when there is nothing to read, or it must not be read */
export function checkReadable(name: string, schema: Schema, found: Found): void {
  const standing = standingOf(found);
  if (standing.isNew) throw new CardumeError('storage-failed', `${name} has no ${schema.of}`);
  checkStanding(name, schema, standing);
}

/** Steps that a database has not had, with their numbers from 1 on. */
export function missingSteps(
  schema: Schema,
  { expanded }: Standing,
): (Required<Step> & { readonly number: number })[] {
  const { of, steps, released } = schema;
  return steps
    .map(({ what, statements, needs = 1 }, i) => {
      const message = `step ${i + 1} of the schema of a ${of} (${what}) would shut out the version before`;
      assert(needs <= Math.max(1, released), message);
      return { what, statements, needs, number: i + 1 };
    })
    .slice(expanded);
}

/** What a database needs that has had all steps. */
export const neededBy = ({ steps }: Schema): number => Math.max(1, ...steps.map(({ needs = 1 }) => needs));
