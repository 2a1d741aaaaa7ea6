import { spawnSync } from 'node:child_process';

/** Whether a program is on the PATH, or where Debian puts servers. */
export function programOf(name: string): string | null {
  for (const folder of [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']) {
    if (spawnSync('test', ['-x', `${folder}/${name}`]).status === 0) return `${folder}/${name}`;
  }
  return null;
}

/**
 * Installs Debian packages, without starting the services that they bring.
 * @throws Error with the command for an administrator, where this user is none or this is no Debian
 */
export function aptInstall(...packages: readonly string[]): void {
  const command = `apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends ${packages.join(' ')}`;
  if (programOf('apt-get') === null || process.getuid?.() !== 0)
    throw new Error(`this needs an administrator of a Debian system: run \`sudo ${command}\`, and try again`);
  // policy-rc.d is how invoke-rc.d is told to leave services alone; 101 says: not allowed.
  const script = `
    set -e
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      printf '#!/bin/sh\\nexit 101\\n' > "$policy"; chmod +x "$policy"
      trap 'rm -f "$policy"' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    ${command} || { apt-get update && ${command}; }`;
  const done = spawnSync('bash', ['-c', script], { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`\`${command}\` failed:\n${done.stderr.slice(-2_000)}`);
}
