/** `cardume switchover FROM TO`: a planned move of all that is at home in one region to another. */
import { type OperatorOptions, openOperators } from '../operators.ts';
import type { Shell } from '../shell.ts';

export interface SwitchoverOptions extends OperatorOptions {
  readonly from: string;
  readonly to: string;
  readonly bornIn?: string | undefined;
  readonly json?: boolean | undefined;
}

interface SwitchedOver {
  readonly from: string;
  readonly to: string;
  readonly partitions: number;
  readonly held_ms: number;
  readonly kept?: number;
  readonly kept_why?: readonly string[];
}

/** @returns the exit code */
export async function switchover(shell: Shell, options: SwitchoverOptions): Promise<number> {
  const { from, to, bornIn, json } = options;
  const operators = await openOperators(shell, options);
  try {
    const path = `/operators/regions/${encodeURIComponent(from)}/switchover`;
    const body = { to, ...(bornIn === undefined ? {} : { born_in: bornIn }) };
    const done = await operators.ask<SwitchedOver>('POST', path, body);
    if (json === true) shell.print(JSON.stringify(done));
    else print(shell, done);
    return 0;
  } finally {
    operators.close();
  }
}

function print(
  shell: Shell,
  { from, to, partitions, held_ms: heldMs, kept = 0, kept_why = [] }: SwitchedOver,
): void {
  if (partitions === 0) shell.print(`Nothing of that was at home in ${from}.`);
  else
    shell.print(
      `${partitions} partitions moved from ${from} to ${to}; callers of one waited ${heldMs} ms at most.`,
    );
  if (kept > 0) shell.print(`${kept} stay in ${from}: ${kept_why.join('; ')}.`);
}
