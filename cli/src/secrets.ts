/**
 * The secrets of a cluster on one machine, made at the first start: the key that signs tokens, the key that wraps
 * subjects' keys, the secret that instances share. One file, mode 0600, so that it exists whole or not at all; whoever
 * loses it loses every personal field. In production they come from a secret store instead.
 */
import { join } from 'node:path';
import type { Host } from 'cardume/host';
import type { Secrets } from 'cardume/instance';
import { Failure } from './failure.ts';

const MODE = 0o600;
const KEY_BYTES = 32;

interface SecretsFile {
  readonly version: 1;
  readonly token_private_pem: string;
  readonly token_public_pem: string;
  /** Hexadecimal, like the next. */
  readonly master_key: string;
  readonly cluster_secret: string;
}

export function secretsPath(dataFolder: string): string {
  return join(dataFolder, 'secrets', 'secrets.json');
}

/** Makes them when there are none. @throws Failure when the file is damaged, or is missing beside data */
export async function openSecrets(host: Host, dataFolder: string): Promise<Secrets> {
  const known = await readSecrets(host, dataFolder);
  if (known !== null) return known;
  await refuseData(host, dataFolder);
  const key = host.crypto.newSigningKey();
  const file: SecretsFile = {
    version: 1,
    token_private_pem: key.privatePem,
    token_public_pem: key.publicPem,
    master_key: Buffer.from(host.random.bytes(KEY_BYTES)).toString('hex'),
    cluster_secret: Buffer.from(host.random.bytes(KEY_BYTES)).toString('hex'),
  };
  await host.disk.makeFolder(join(dataFolder, 'secrets'));
  await host.disk.write(secretsPath(dataFolder), `${JSON.stringify(file, null, 2)}\n`, MODE);
  return parse(JSON.stringify(file)) as Secrets;
}

/** New secrets beside old data would leave every personal field unreadable, and say nothing. */
async function refuseData(host: Host, dataFolder: string): Promise<void> {
  for (const name of await host.disk.list(dataFolder)) {
    const files = await host.disk.list(join(dataFolder, name)).catch(() => []); // a file, not a folder
    if (!files.some((file) => file.endsWith('.log.db'))) continue;
    throw new Failure(
      `${secretsPath(dataFolder)} is missing, and ${join(dataFolder, name)} holds data that was written with it.`,
      `Restore it from a backup, or move ${dataFolder} away to start afresh.`,
    );
  }
}

/** Null when there are none. @throws Failure when the file is damaged */
export async function readSecrets(host: Host, dataFolder: string): Promise<Secrets | null> {
  const path = secretsPath(dataFolder);
  const bytes = await host.disk.read(path);
  if (bytes === null) return null;
  const secrets = parse(Buffer.from(bytes).toString());
  if (secrets !== null) return secrets;
  throw new Failure(
    `${path} is damaged.`,
    'Restore it from a backup. Without it the personal data in this folder cannot be read: only as a last resort ' +
      `move ${dataFolder} away and start afresh.`,
  );
}

function parse(text: string): Secrets | null {
  let file: Partial<SecretsFile>;
  try {
    file = (JSON.parse(text) as Partial<SecretsFile> | null) ?? {};
  } catch {
    return null; // the caller says that the file is damaged
  }
  const { token_private_pem: privatePem = '', token_public_pem: publicPem = '' } = file;
  const masterKey = Buffer.from(file.master_key ?? '', 'hex');
  const clusterSecret = Buffer.from(file.cluster_secret ?? '', 'hex');
  const whole =
    file.version === 1 &&
    privatePem.includes('PRIVATE KEY') &&
    publicPem.includes('PUBLIC KEY') &&
    masterKey.length === KEY_BYTES &&
    clusterSecret.length === KEY_BYTES;
  return whole ? { tokenKey: { privatePem, publicPem }, masterKey, clusterSecret } : null;
}
