/**
 * `platform/src/host` is the only door to clock, random, cryptography, disk, network, threads and environment: what
 * goes around it cannot be simulated, hence not replayed from a seed.
 */
import { type House, isTest, type Rule, type Violation } from '../house.ts';
import { lineOf } from '../scan.ts';

/** Files at the rim, each with its reason. They hand what they get to plain functions below them. */
const rim: Readonly<Record<string, string>> = {
  'platform/src/gateway/http.ts':
    'the HTTP server: Fastify owns its sockets and timers; routes below it are plain functions',
  'platform/src/edge/proxy.ts':
    'the edge listens and forwards: sockets and upstream connections are its work',
  'platform/src/edge/dns/sockets.ts':
    'the DNS server listens on UDP and TCP; what it says is a plain function below',
  'platform/src/edge/dns/dig.fixture.ts': 'tests ask the DNS server by the program that its users have',
  'platform/src/testing/simulated/guards.ts':
    'takes the globals over, so that code in a simulation cannot reach them',
  'platform/src/testing/sqlite/instance.ts': 'loads the WebAssembly module of SQLite, once',
  'cli/src/api.ts': "the import's HTTP client: bounded sockets and timeouts, one call is one attempt",
  'cli/src/retail/files.ts':
    "streams the import's files and appends to its journal; host.disk has whole files only",
  'cli/src/supervisor/child.ts':
    "both ends of the channel between the supervisor and a region's process; the host has no processes",
  'cli/src/started.fixture.ts': 'tests start the command line as a process, as its users do',
  'shop/src/cluster.fixture.ts':
    "the tests' machine: a temporary folder, an HTTP client, and the sockets that a killed region loses",
  'sim/src/sim.ts': 'the entry of the simulation’s command: arguments, output, exit code',
  'sim/src/run.ts': 'a promise that nobody awaits is told by the process alone',
  'sim/src/planted/planted.ts': 'changes sources while they are loaded',
  'cli/src/cardume.ts': 'the entry of the command line: arguments, exit code, signals of its own process',
};

const exempt = ['platform/src/host/', 'tools/', 'cli/bin/', 'bench/', 'tidy/'];

interface Forbidden {
  readonly pattern: RegExp;
  readonly instead: string;
  /** A method of one's own may bear this name: `fetch(request) { … }` declares, it does not call. */
  readonly mayBeDeclared?: true;
  /** A variable of one's own may bear this name. */
  readonly mayBeLocal?: string;
}

/** Members of the global `process`; a saga is called a process too, and has other members. */
const processMembers =
  'abort|allowedNodeEnvironmentFlags|arch|argv|argv0|chdir|config|cpuUsage|cwd|emitWarning|env|execArgv|execPath|exit|exitCode|getBuiltinModule|hrtime|kill|memoryUsage|nextTick|off|on|once|pid|platform|ppid|release|removeListener|report|resourceUsage|stderr|stdin|stdout|title|umask|uptime|version|versions';

const forbidden: readonly Forbidden[] = [
  { pattern: /(?<![.\w$])Date\s*\.\s*now\b/g, instead: 'host.clock.nowMs()' },
  { pattern: /\bnew\s+Date\b(?:\s*\(\s*\)|(?!\s*\())/g, instead: 'new Date(host.clock.nowMs())' },
  { pattern: /(?<![.\w$])performance\s*\./g, instead: 'host.clock.monotonicMs()' },
  {
    pattern: /(?<![.\w$])(?:setTimeout|setInterval|setImmediate)\b(?!\s*\??:)/g,
    instead: 'host.clock.after(), host.clock.sleep() or host.clock.soon()',
    mayBeDeclared: true,
  },
  { pattern: /\bMath\s*\.\s*random\b/g, instead: 'host.random.fraction(), or bytes() for secrets' },
  { pattern: /(?<![.\w$])crypto\s*\??\./g, instead: 'host.crypto', mayBeLocal: 'crypto' },
  {
    pattern: /(?<![.\w$])fetch\s*\(/g,
    instead: 'host.network, or an interface that the rim implements',
    mayBeDeclared: true,
    mayBeLocal: 'fetch',
  },
  {
    pattern: new RegExp(`(?<![.\\w$])process\\s*(?:\\??\\.\\s*(?:${processMembers})\\b|\\[)`, 'g'),
    instead: 'host.env',
    mayBeLocal: 'process',
  },
  { pattern: /(?<![.\w$])globalThis\b/g, instead: 'the host' },
];

const modules: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/^(?:node:)?fs(?:\/promises)?$/, 'host.disk'],
  [/^(?:node:)?(?:net|tls|http|https|http2|dgram|dns|dns\/promises)$/, 'host.network'],
  [/^(?:node:)?(?:worker_threads|child_process|cluster)$/, 'host.threads'],
  [/^node:sqlite$/, 'host.disk'],
  [/^(?:node:)?crypto$/, 'host.crypto or host.random'],
  [/^(?:node:)?(?:os|process)$/, 'host.env'],
  [/^(?:node:)?(?:timers|timers\/promises|perf_hooks)$/, 'host.clock'],
];

/** Whether `name(…)` at this place is followed by a body or a type, that is, declares a method or function. */
function declares(code: string, at: number): boolean {
  if (/\bfunction\s*\*?\s*$/.test(code.slice(Math.max(0, at - 20), at))) return true;
  const open = code.indexOf('(', at);
  if (open === -1) return false;
  let depth = 0;
  for (let i = open; i < code.length; i += 1) {
    if (code[i] === '(') depth += 1;
    else if (code[i] === ')') {
      depth -= 1;
      if (depth === 0) return /^\s*[{:]/.test(code.slice(i + 1));
    }
  }
  return false;
}

function isLocal(code: string, name: string): boolean {
  const declaration = `\\b(?:const|let|var|function)\\s+(?:${name}\\b|[{[][^;={}]*\\b${name}\\b[^;=]*[}\\]]\\s*=)`;
  const parameter = `[({,]\\s*${name}\\s*\\??\\s*:|\\(\\s*${name}\\s*\\)\\s*=>|\\b${name}\\s*=>|[{,]\\s*${name}\\s*[,}][^;()]*\\)\\s*(?:=>|\\{|:)`;
  return new RegExp(`${declaration}|${parameter}`).test(code);
}

function check(house: House): readonly Violation[] {
  const violations: Violation[] = [];
  for (const { path, text, code, imports } of house.sources) {
    if (isTest(path) || path in rim || exempt.some((prefix) => path.startsWith(prefix))) continue;
    for (const { pattern, instead, mayBeDeclared, mayBeLocal } of forbidden) {
      if (mayBeLocal !== undefined && isLocal(code, mayBeLocal)) continue;
      for (const match of code.matchAll(pattern)) {
        if (mayBeDeclared && declares(code, match.index)) continue;
        const found = match[0].replaceAll(/\s+/g, ' ').trim();
        violations.push({ path, line: lineOf(text, match.index), message: `${found}: use ${instead}` });
      }
    }
    for (const { specifier, line, typeOnly } of imports) {
      const found = typeOnly ? undefined : modules.find(([pattern]) => pattern.test(specifier));
      if (found !== undefined) violations.push({ path, line, message: `${specifier}: use ${found[1]}` });
    }
  }
  return violations;
}

export const globals: Rule = { name: 'globals', check };
