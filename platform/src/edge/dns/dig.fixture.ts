/** `dig`, where this machine has it: tests ask by the program that users have, which reads messages with code of its own. */
import { execFile, spawnSync } from 'node:child_process';

const isInstalled = spawnSync('dig', ['-v']).status === 0;
if (!isInstalled && process.env['CARDUME_ENGINES'] === 'required')
  throw new Error('dig is not installed: npm run engines -- start dig');

/** Why its tests are skipped, or false. */
export const withoutDig: string | false = isInstalled ? false : 'skipped: dig is not installed';

/** @returns what it prints @throws Error also when the server does not answer in time */
export function dig(port: number, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const given = ['-p', String(port), '@127.0.0.1', '+tries=1', '+time=3', ...args];
    execFile('dig', ['-r', ...given], (error, out, err) =>
      error === null ? resolve(out) : reject(new Error(`${out}${err}`, { cause: error })),
    );
  });
}
