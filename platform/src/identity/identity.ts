/** The face of identity: access tokens and passwords over one host. */
import type { Host } from '../host/host.ts';
import { openPasswords, type PasswordOptions, type Passwords } from './passwords.ts';
import { openTokens, type TokenOptions, type Tokens } from './tokens.ts';

export interface Identity {
  readonly tokens: Tokens;
  readonly passwords: Passwords;
}

export type IdentityOptions = TokenOptions & PasswordOptions;

export function openIdentity(host: Host, options: IdentityOptions): Identity {
  return { tokens: openTokens(host, options), passwords: openPasswords(host, options) };
}
