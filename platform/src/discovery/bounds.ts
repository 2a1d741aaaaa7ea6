/** What every driver refuses, before it asks anybody: `invalid-input`, and nothing was changed. */
import { CardumeError, type Fault } from '../base/errors.ts';
import {
  CHANGE_CHARS_MAX,
  CHANGES_MAX,
  type Change,
  CONDITIONS_MAX,
  type Condition,
  KEY_CHARS_MAX,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
  VALUE_CHARS_MAX,
} from './coordinator.ts';

const KEY = new RegExp(`^[a-z0-9_./-]{1,${KEY_CHARS_MAX}}$`);
const PREFIX = new RegExp(`^[a-z0-9_./-]{0,${KEY_CHARS_MAX}}$`);
const LEASE_CHARS_MAX = 100;

/** @throws CardumeError `invalid-input` */
export function checkPrefix(prefix: unknown): asserts prefix is string {
  if (typeof prefix !== 'string' || !PREFIX.test(prefix))
    refuse([{ path: '/prefix', message: `expected at most ${KEY_CHARS_MAX} characters of a-z0-9-_./` }]);
}

/** @throws CardumeError `invalid-input` */
export function checkRevision(revision: unknown): asserts revision is number {
  if (!isRevision(revision)) refuse([{ path: '/afterRevision', message: REVISION_EXPECTED }]);
}

/** @throws CardumeError `invalid-input` */
export function checkTtl(ttlMs: unknown): asserts ttlMs is number {
  const isRight =
    Number.isSafeInteger(ttlMs) && (ttlMs as number) >= LEASE_MS_MIN && (ttlMs as number) <= LEASE_MS_MAX;
  if (!isRight)
    refuse([
      { path: '/ttlMs', message: `expected whole milliseconds from ${LEASE_MS_MIN} to ${LEASE_MS_MAX}` },
    ]);
}

/** @throws CardumeError `invalid-input` with every fault at its JSON pointer */
export function checkConditions(conditions: unknown): asserts conditions is readonly Condition[] {
  const faults: Fault[] = [];
  const listed = listOf(conditions, '/conditions', CONDITIONS_MAX, faults);
  for (const [i, { key, revision }] of listed.entries()) {
    keyRule(key, `/conditions/${i}/key`, faults);
    if (!isRevision(revision)) faults.push({ path: `/conditions/${i}/revision`, message: REVISION_EXPECTED });
  }
  if (faults.length > 0) refuse(faults);
}

/** @throws CardumeError `invalid-input` with every fault at its JSON pointer */
export function checkChanges(changes: unknown): asserts changes is readonly Change[] {
  const faults: Fault[] = [];
  const keys = new Set<unknown>();
  let chars = 0;
  for (const [i, { key, value, lease }] of listOf(changes, '/changes', CHANGES_MAX, faults).entries()) {
    const at = `/changes/${i}`;
    keyRule(key, `${at}/key`, faults);
    if (keys.has(key)) faults.push({ path: `${at}/key`, message: 'the key stands in another change' });
    keys.add(key);
    chars += typeof value === 'string' ? value.length : 0;
    if (value !== null && !isValue(value))
      faults.push({
        path: `${at}/value`,
        message: `expected null, or well-formed text of at most ${VALUE_CHARS_MAX} characters`,
      });
    if (lease !== undefined && !isLease(lease, value))
      faults.push({ path: `${at}/lease`, message: "expected a lease's id, beside a value" });
  }
  if (chars > CHANGE_CHARS_MAX)
    faults.push({
      path: '/changes',
      message: `expected values of at most ${CHANGE_CHARS_MAX} characters, got ${chars}`,
    });
  if (faults.length > 0) refuse(faults);
}

const REVISION_EXPECTED = 'expected a whole number from 0 on';
const isRevision = (revision: unknown): boolean =>
  Number.isSafeInteger(revision) && (revision as number) >= 0;
const isValue = (value: unknown): boolean =>
  typeof value === 'string' && value.length <= VALUE_CHARS_MAX && value.isWellFormed();
const isLease = (lease: unknown, value: unknown): boolean =>
  value !== null && typeof lease === 'string' && lease.length > 0 && lease.length <= LEASE_CHARS_MAX;

type Loose = Readonly<Record<string, unknown>>;

function listOf(value: unknown, path: string, itemsMax: number, faults: Fault[]): readonly Loose[] {
  if (!Array.isArray(value) || value.length > itemsMax) {
    faults.push({ path, message: `expected a list of at most ${itemsMax}` });
    return [];
  }
  return value.map((item) => (typeof item === 'object' && item !== null ? (item as Loose) : {}));
}

function keyRule(key: unknown, path: string, faults: Fault[]): void {
  if (typeof key !== 'string' || !KEY.test(key))
    faults.push({ path, message: `expected 1 to ${KEY_CHARS_MAX} characters of a-z0-9-_./` });
}

function refuse(faults: readonly Fault[]): never {
  const [first] = faults as [Fault];
  const more = faults.length === 1 ? '' : `, and ${faults.length - 1} more`;
  throw new CardumeError('invalid-input', `${first.path}: ${first.message}${more}`, { faults });
}
