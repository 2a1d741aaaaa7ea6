/** A certificate for servers on loopback, and the authority that signed it, for a month; made by `openssl`. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { aptInstall, programOf } from './apt.ts';

export interface Certificate {
  /** Paths of PEM files. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const DAYS = '30';

export function certificateIn(folder: string): Certificate {
  const at = (name: string): string => join(folder, name);
  const made = { ca: at('ca.pem'), cert: at('server.pem'), key: at('server-key.pem') };
  if (programOf('openssl') === null) aptInstall('openssl');
  const isGood = (): boolean =>
    spawnSync('openssl', ['x509', '-checkend', '86400', '-noout', '-in', made.cert]).status === 0;
  if (existsSync(made.cert) && isGood()) return made;
  mkdirSync(folder, { recursive: true });
  const openssl = (...args: readonly string[]): void => {
    const done = spawnSync('openssl', args, { encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`openssl ${args[0]} failed:\n${done.stderr}`);
  };
  const newKey = ['-newkey', 'rsa:2048', '-nodes'];
  openssl(
    ...['req', '-x509', ...newKey, '-days', DAYS, '-subj', '/CN=Cardume test authority'],
    ...['-keyout', at('ca-key.pem'), '-out', made.ca],
  );
  openssl('req', ...newKey, '-subj', '/CN=127.0.0.1', '-keyout', made.key, '-out', at('server.csr'));
  writeFileSync(at('names.cnf'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  openssl(
    ...[
      'x509',
      '-req',
      '-in',
      at('server.csr'),
      '-CA',
      made.ca,
      '-CAkey',
      at('ca-key.pem'),
      '-CAcreateserial',
    ],
    ...['-days', DAYS, '-extfile', at('names.cnf'), '-out', made.cert],
  );
  return made;
}
