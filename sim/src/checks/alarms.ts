/** What an operator was told: faults are no reason to be woken, bugs are. */
import type { Coverage } from '../coverage.ts';

const EFFECT_FAILED = /an effect of a process failed/;
const ALARMS = /a request failed unexpectedly|a projection has halted|a process has halted/;
/** An effect that fails for these reasons would fail for ever; for others (a home that is down) it is tried again. */
const LASTING = /"code":"(?:conflict|not-found|internal|invalid-input|already-exists|forbidden)"/;
const HAS_CODE = /"code":"[a-z-]+"/;
const REPLACED = /partitions of a lost region have a new home/;
const QUARANTINED = /entries that were never replicated are quarantined/;
const LINE_CHARS_MAX = 1_500;

export function checkLines(
  lines: readonly string[],
  coverage: Coverage,
  wrong: (what: string) => void,
): void {
  for (const line of lines) {
    if (REPLACED.test(line)) coverage.reached('a lost region was replaced');
    if (QUARANTINED.test(line)) coverage.reached('entries were quarantined');
    const isLasting = EFFECT_FAILED.test(line) && (LASTING.test(line) || !HAS_CODE.test(line));
    if (isLasting || ALARMS.test(line)) wrong(`an operator was told: ${line.slice(0, LINE_CHARS_MAX)}`);
  }
}
