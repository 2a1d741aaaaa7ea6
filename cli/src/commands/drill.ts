/** `cardume drill`: strikes a platform of its own under traffic, and measures what it costs. */
import { join, resolve } from 'node:path';
import { isCardumeError } from 'cardume/base';
import { LEASE_TTL_MS } from 'cardume/regions/regions';
import type { RegionName, Topology } from 'cardume/topology';
import { type Overrides, openConfiguration } from '../configuration.ts';
import { type Drill, drills, findDrill, leftOut, limitsOf } from '../drills/catalogue.ts';
import { beginImport } from '../drills/importing.ts';
import { measure, missed } from '../drills/measures.ts';
import { type Outcome, outcomeText } from '../drills/outcome.ts';
import { freePorts } from '../drills/ports.ts';
import { writeReport } from '../drills/report.ts';
import { runDrill } from '../drills/running.ts';
import { type DrillTopology, type Durability, drillTopology, portsOf } from '../drills/topologies.ts';
import { FAILED, Failure, INTERRUPTED, WRONG_USE } from '../failure.ts';
import { openSource } from '../retail/files.ts';
import type { Shell } from '../shell.ts';
import { issueToken } from '../token.ts';

export interface DrillOptions extends Pick<Overrides, 'config' | 'data'> {
  readonly drill?: string | undefined;
  /** The first one of the topology when left out. */
  readonly region?: string | undefined;
  readonly list?: boolean | undefined;
  readonly all?: boolean | undefined;
  readonly times: number;
  /** Of traffic before and after. */
  readonly seconds: number;
  readonly down?: number | undefined;
  /** Milliseconds, of all lines. */
  readonly roundTrip?: number | undefined;
  readonly durability?: Durability | undefined;
  /** `host:port` of members. */
  readonly etcd?: readonly string[] | undefined;
  readonly import?: string | undefined;
  /** Only the first invoices of the import. */
  readonly limit?: number | undefined;
  readonly report?: string | undefined;
  readonly json?: boolean | undefined;
}

/** @returns the exit code: 1 when a bound was missed */
export async function drill(shell: Shell, options: DrillOptions): Promise<number> {
  if (options.list === true) {
    shell.print(listText());
    return 0;
  }
  const chosen = chosenDrills(options);
  const { topology, dataFolder } = await openConfiguration(shell, { config: options.config });
  const region = regionOf(topology, options.region);
  const file = await importFile(shell, options.import);
  const interrupted = interruption(shell);
  const outcomes: Outcome[] = [];
  try {
    for (const one of chosen)
      for (let i = 0; i < options.times; i += 1)
        outcomes.push(
          await once(shell, options, { drill: one, region, topology, dataFolder, file, interrupted }),
        );
  } catch (error) {
    if (error !== ENDED) throw error;
    return INTERRUPTED;
  }
  if (options.json === true)
    shell.print(JSON.stringify(outcomes.length === 1 ? outcomes[0] : outcomes, null, 2));
  else if (outcomes.length > 1) shell.print(tableText(outcomes));
  return outcomes.every(({ passed }) => passed) ? 0 : FAILED;
}

/** What a run that was ended early throws. */
const ENDED = new Failure('The drill was ended.');

/** The first signal ends the run, and leaves nothing behind; the second ends the process, and its processes with it. */
function interruption(shell: Shell): Promise<never> {
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {}); // no run has to wait for it
  let isEnding = false;
  shell.onSignal(() => {
    if (isEnding) shell.exit(INTERRUPTED);
    isEnding = true;
    shell.complain('Ending: the platform is stopped. Once more ends at once.');
    ended.reject(ENDED);
  });
  return ended.promise;
}

/** @throws Failure when there is no such file: before anything is started */
async function importFile(shell: Shell, named: string | undefined): Promise<string | null> {
  if (named === undefined) return null;
  const file = resolve(shell.folder, named);
  try {
    await openSource(file);
    return file;
  } catch (error) {
    if (!isCardumeError(error)) throw error;
    throw new Failure(`${error.message}.`, '', WRONG_USE);
  }
}

function chosenDrills({ all, drill: name }: DrillOptions): readonly Drill[] {
  if (all === true) return drills;
  if (name !== undefined) return [findDrill(name)];
  throw new Failure(
    'Which drill?',
    `Name one of ${drills.map((one) => one.name).join(', ')}, or use --all.`,
    WRONG_USE,
  );
}

function regionOf({ regions }: Topology, named: string | undefined): RegionName {
  const known = Object.keys(regions);
  if (named === undefined) return known[0] as RegionName;
  if (known.includes(named)) return named;
  throw new Failure(
    `There is no region '${named}' in the topology.`,
    `Regions are ${known.join(', ')}.`,
    WRONG_USE,
  );
}

interface Place {
  readonly drill: Drill;
  readonly region: RegionName;
  readonly topology: Topology;
  readonly dataFolder: string;
  /** Of an import. */
  readonly file: string | null;
  readonly interrupted: Promise<never>;
}

async function once(shell: Shell, options: DrillOptions, place: Place): Promise<Outcome> {
  const { host } = shell;
  const { drill: of, region, topology: own, dataFolder, file, interrupted } = place;
  const tell = (text: string): void => shell.complain(text);
  const print = (text: string): void => (options.json === true ? shell.complain(text) : shell.print(text));
  const load = await loadOf(host);
  const roundTripMs = options.roundTrip ?? of.roundTripMs ?? 0;
  const begun = new Date(host.clock.nowMs()).toISOString();
  const run = `drill-${Buffer.from(host.random.bytes(4)).toString('hex')}`;
  const { durability, etcd } = options;
  const ports = await freePorts(host, portsOf(own));
  const topology = topologyOf(own, { name: run, ports, durability, etcd });
  const kept = options.data === undefined ? null : resolve(shell.folder, options.data);
  const folder = join(kept ?? join(dataFolder, 'drills'), run);
  const cache = host.env.get('NODE_COMPILE_CACHE') ?? join(dataFolder, 'compile-cache');

  tell(`${of.name} of ${region}: ${of.about}`);
  try {
    const { record, imported, complaints } = await runDrill({
      ...{ shell, drill: of, region, topology, folder, interrupted, tell },
      cacheFolder: resolve(shell.folder, cache),
      downMs: (options.down ?? of.downS) * 1_000,
      roundTripMs,
      calmMs: options.seconds * 1_000,
      beginImport:
        file === null
          ? undefined
          : (grounds) => {
              const principal = { id: 'operator', role: 'staff' } as const;
              const { token } = issueToken(host, topology, grounds.secrets, principal);
              return beginImport(shell, grounds, { file, folder, token, limit: options.limit }, tell);
            },
    });
    const coordinator = topology.coordinator?.engine ?? 'embedded';
    const durabilities = Object.entries(topology.services).map(([name, { durability: is = 'region' }]) => [
      name,
      is,
    ]);
    const weakest = durabilities.some(([, is]) => is === 'region') ? 'region' : 'cross-region';
    const limits = limitsOf(of, topology);
    const measures = measure(record, of.from, LEASE_TTL_MS);
    const found = [
      ...missed(measures, limits),
      ...(imported !== null && weakest === 'cross-region' && !(imported.isExact && imported.complete)
        ? ['The import did not end exact.']
        : []),
    ];
    const outcome: Outcome = {
      ...{
        drill: of.name,
        about: of.about,
        region,
        begun,
        coordinator,
        limits,
        measures,
        imported,
        record,
        complaints,
        roundTripMs,
      },
      load,
      durability: Object.fromEntries(durabilities),
      from: of.from,
      passed: found.length === 0,
      missed: found,
    };
    const far = roundTripMs > 0 ? `, lines of ${roundTripMs} ms` : '';
    print(`\n${of.name} of ${region}, ${weakest}, ${coordinator}${far}\n${outcomeText(outcome)}`);
    const written = await writeReport(
      host,
      resolve(shell.folder, options.report ?? join(dataFolder, 'drills')),
      outcome,
    );
    print(`Report: ${written}\n`);
    return outcome;
  } finally {
    if (kept === null) await host.disk.remove(folder);
    else tell(`Its data: ${folder}`);
  }
}

/** @throws Failure that names every fault of what the command line changes */
function topologyOf(own: Topology, change: DrillTopology): Topology {
  try {
    return drillTopology(own, change);
  } catch (error) {
    if (!isCardumeError(error, 'invalid-input')) throw error;
    throw new Failure(`${error.message}.`, 'See --etcd and --durability.', WRONG_USE);
  }
}

/** Of this machine over the last minute, where the system tells: what else runs here is measured too. */
async function loadOf({ disk }: Shell['host']): Promise<number | null> {
  const text = await disk.read('/proc/loadavg').catch(() => null);
  return text === null ? null : Number.parseFloat(Buffer.from(text).toString());
}

function listText(): string {
  return [
    ...drills.map(({ name, about }) => `${name.padEnd(18)}${about}`),
    ...leftOut.map(([name, why]) => `${name.padEnd(18)}not here: ${why}.`),
  ].join('\n');
}

function tableText(outcomes: readonly Outcome[]): string {
  const seconds = (ms: number | null): string => (ms === null ? '-' : (ms / 1_000).toFixed(2));
  const rows = outcomes.map(({ drill: name, measures, passed }) => [
    name,
    seconds(measures.rtoMs),
    seconds(measures.rpoMs),
    `${measures.writes.lost}/${measures.writes.acknowledged}`,
    String(measures.retries),
    String(measures.failed),
    passed ? 'passed' : 'MISSED',
  ]);
  const all = [['drill', 'RTO, s', 'RPO, s', 'lost', 'retries', 'failed', ''], ...rows];
  const widths = all[0]?.map((_, i) => Math.max(...all.map((row) => (row[i] as string).length))) ?? [];
  return all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
