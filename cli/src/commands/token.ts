/** `cardume token`: an access token for scripts and trials. */
import { type Overrides, openConfiguration } from '../configuration.ts';
import { Failure, WRONG_USE } from '../failure.ts';
import { readSecrets } from '../secrets.ts';
import type { Shell } from '../shell.ts';
import { issueToken } from '../token.ts';

export interface TokenCommandOptions extends Overrides {
  readonly role: 'staff' | 'customer';
  /** Account id; staff may leave it out. */
  readonly account?: string | undefined;
  readonly json?: boolean | undefined;
}

/** @returns the exit code */
export async function token(shell: Shell, options: TokenCommandOptions): Promise<number> {
  const id = options.account ?? (options.role === 'staff' ? 'operator' : undefined);
  if (id === undefined) {
    throw new Failure('A customer token needs an account.', 'Name it with --account acc_…', WRONG_USE);
  }
  const { topology, dataFolder } = await openConfiguration(shell, options);
  const secrets = await readSecrets(shell.host, dataFolder);
  if (secrets === null) {
    throw new Failure(
      `There are no secrets in ${dataFolder} yet.`,
      '`npm start` makes them; or name the folder with --data.',
    );
  }
  const issued = issueToken(shell.host, topology, secrets, { id, role: options.role });
  const { token: text, expiresInS } = issued;
  shell.print(
    options.json ? JSON.stringify({ token: text, expires_in_s: expiresInS, role: options.role, id }) : text,
  );
  return 0;
}
