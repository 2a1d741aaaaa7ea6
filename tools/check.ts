/**
 * The gate before a commit: types, lint and format, the architecture's rules; side by side. Budget: 30 seconds.
 *
 *   npm run check            reports
 *   npm run check -- --fix   lets biome correct what it safely can, then reports
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);

const tsc = 'node_modules/typescript/bin/tsc';
const biome = 'node_modules/@biomejs/biome/bin/biome';
for (const tool of [tsc, biome]) {
  if (existsSync(tool)) continue;
  process.stderr.write(
    `${tool} is missing: this installation has no development packages. Run \`npm ci --include=dev\`.\n`,
  );
  process.exit(1);
}

if (process.argv.includes('--fix')) {
  spawnSync(process.execPath, [biome, 'check', '--write', '--log-level=error'], { stdio: 'ignore' });
}

const checks: readonly (readonly [name: string, command: readonly string[]])[] = [
  ['types', [tsc, '--noEmit', '--pretty', String(process.stdout.isTTY === true)]],
  ['lint', [biome, 'check', '--error-on-warnings', '--max-diagnostics=40']],
  ['tidy', ['--test', '--test-reporter=spec', ...globSync('tidy/**/*.test.ts').sort()]],
];

function run(name: string, command: readonly string[]): Promise<boolean> {
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      if (code !== 0) process.stdout.write(Buffer.concat(output));
      process.stdout.write(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n`);
      resolve(code === 0);
    });
  });
}

const results = await Promise.all(checks.map(([name, command]) => run(name, command)));
process.exitCode = results.every(Boolean) ? 0 : 1;
