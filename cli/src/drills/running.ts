/**
 * One run of a drill: a platform of its own is started and filled, traffic runs, the fault strikes and heals, everything
 * is brought back to where it was, and what was acknowledged is read back.
 */
import { openTokens } from 'cardume/identity/tokens';
import type { RegionName, Topology } from 'cardume/topology';
import { openApi } from '../api.ts';
import { Failure } from '../failure.ts';
import type { Shell } from '../shell.ts';
import type { Drill } from './catalogue.ts';
import { type Clients, openClients } from './clients.ts';
import { type Grounds, startGrounds, type Told } from './grounds.ts';
import { type Import, type ImportOutcome, noImport } from './importing.ts';
import { openKeys } from './keys.ts';
import { switchOver } from './moving.ts';
import { readBack, settle } from './reading-back.ts';
import type { DrillRecord, Mark, MarkKind } from './record.ts';
import { setStage } from './stage.ts';
import { countedText, markText } from './timeline.ts';
import { type AckedWrite, beginTraffic, type Traffic } from './traffic.ts';
import { behindText, type RegionSeen, watchCoordinator } from './watching.ts';

export interface RunOptions {
  readonly shell: Shell;
  readonly drill: Drill;
  readonly region: RegionName;
  readonly topology: Topology;
  /** Absolute. */
  readonly folder: string;
  readonly cacheFolder: string;
  readonly downMs: number;
  /** That all lines between regions, and to the coordinator, have at least. */
  readonly roundTripMs: number;
  /** Of traffic before the fault, and behind the way back. */
  readonly calmMs: number;
  readonly beginImport?: ((grounds: Grounds) => Import) | undefined;
  /** Rejects when the run has to end early. */
  readonly interrupted: Promise<never>;
  /** Progress, and marks as they are made. */
  readonly tell: (text: string) => void;
}

export interface Run {
  readonly record: DrillRecord;
  readonly imported: ImportOutcome | null;
  /** Warnings and errors of the platform's processes while traffic ran, the first ones. */
  readonly complaints: readonly (Told & { readonly atMs: number })[];
}

const SOCKETS_MAX = 256;
/** A good client gives up waiting. */
const SILENCE_MS = 10_000;
const IN_STEP_MS_MAX = 60_000;
const LOOK_AGAIN_MS = 200;
const SETTLE_MS_MAX = 30_000;
const COMPLAINTS_MAX = 500;

/** @throws Failure when the platform does not start */
export async function runDrill(options: RunOptions): Promise<Run> {
  const { shell, drill, region, topology, tell } = options;
  const { clock } = shell.host;
  const complaints: (Told & { readonly atMs: number })[] = [];
  const marks: Mark[] = [];
  let zeroMs = clock.monotonicMs();
  const nowMs = (): number => clock.monotonicMs() - zeroMs;
  let isOn = false;
  const mark: Marking = (kind, text, counted) => {
    if (!isOn) return;
    const made = { atMs: nowMs(), kind, text, ...counted };
    marks.push(made);
    if (counted === undefined) tell(markText(made)); // of many small steps the timeline tells, at the end
  };

  const onTold = (told: Told): void => {
    learn(told, mark);
    if (told.level === 'info') return;
    if (marks.length === 0) tell(`${told.process}: ${told.message} ${JSON.stringify(told.fields)}`);
    if (isOn && complaints.length < COMPLAINTS_MAX) complaints.push({ ...told, atMs: nowMs() });
  };
  tell('Starts a platform of its own.');
  const { folder, cacheFolder } = options;
  const grounds = await startGrounds({
    ...{ shell, topology, folder, cacheFolder, onTold },
    withLines: drill.withLines(topology) || options.roundTripMs > 0,
    delayMs: options.roundTripMs / 2,
  });
  const api = openApi(grounds.url, staffToken(shell, grounds), SOCKETS_MAX, SILENCE_MS);
  const watching = watchCoordinator({
    shell,
    grounds,
    onLease(of, isHeld) {
      if (isHeld) mark('note', `${of} has a lease again`);
      else mark('lease-over', `the lease of ${of} is over`);
    },
    onHomes(home, partitions) {
      const text = countedText('homes-moved', home, partitions);
      mark('homes-moved', text, { region: home, count: partitions });
    },
  });
  let traffic: Traffic | null = null;
  const troubles: string[] = [];
  const troubled = (sentence: string): void => {
    troubles.push(sentence);
    mark('note', sentence);
  };
  /** What does not come about is measured, and told: it does not end the drill. */
  const attempt = <T>(work: Promise<T>): Promise<T | undefined> =>
    work.catch((error: unknown) => {
      if (!(error instanceof Failure)) throw error;
      troubled(error.message);
      return undefined;
    });
  async function act(): Promise<Run> {
    const clients = openClients(shell.host, api, nowMs);
    const keys = openKeys(shell.host, topology, grounds.secrets.clusterSecret);
    const stage = await setStage(shell, grounds, clients, keys);
    const early = await behind(shell, clients);
    if (early !== null)
      throw new Failure(
        `Copies of a new platform are not up to date after ${IN_STEP_MS_MAX / 1_000} s: ${early}.`,
      );

    tell('Traffic begins.');
    zeroMs = clock.monotonicMs();
    isOn = true;
    const regions = Object.keys(topology.regions);
    const isStruck = (home: RegionName): boolean => drill.strikes === 'all' || home === region;
    traffic = beginTraffic({ host: shell.host, clients, keys, stage, regions, isStruck, nowMs });
    const importing = options.beginImport?.(grounds) ?? noImport;
    await importing.underWay();
    if (importing !== noImport) mark('note', 'the import places orders');
    await clock.sleep(options.calmMs);

    mark('struck', drill.struckText(region));
    await attempt(Promise.resolve(drill.strike(grounds, region, clients)));
    await clock.sleep(options.downMs);
    mark('healed', drill.healedText(region));
    await attempt(drill.heal(grounds, region).then(() => mark('ready', 'what was struck is ready again')));
    const late = await behind(shell, clients);
    if (late === null) {
      mark('caught-up', 'every copy has all that there was then');
      const given = attempt(giveBack(clients, region, regions));
      if ((await given) === true) mark('given-back', `${region} has what was born there`);
    } else
      troubled(
        `Copies were not up to date after ${IN_STEP_MS_MAX / 1_000} s, and nothing was given back: ${late}.`,
      );
    await clock.sleep(options.calmMs);
    const imported = (await attempt(importing.ended())) ?? null;
    if (imported !== null) mark('note', 'the import has ended');
    await traffic.stop();
    const endedMs = nowMs();
    isOn = false;

    tell('Reads back what was acknowledged.');
    if (late === null) await behind(shell, clients);
    const openOrders = await settle(ordersOf(traffic.acked), clients, clock.sleep, SETTLE_MS_MAX);
    const acknowledged = await readBack(traffic.acked, clients, keys);
    const { attempts, requests } = clients;
    const record: DrillRecord = {
      ...{ attempts, requests, acknowledged, marks, endedMs, openOrders, troubles },
      skipped: traffic.skipped,
    };
    return { record, imported, complaints };
  }
  try {
    return await Promise.race([act(), options.interrupted]);
  } finally {
    isOn = false;
    void (traffic as Traffic | null)?.stop();
    await grounds.close();
    await watching.close();
    api.close();
  }
}

const ordersOf = (acked: readonly AckedWrite[]): readonly string[] =>
  acked.flatMap(({ kind, what }) => (kind === 'order' ? [what] : []));

type Marking = (
  kind: MarkKind,
  text: string,
  counted?: { readonly region: string; readonly count: number },
) => void;

/** Lines of the platform's logs that belong on the timeline. */
function learn({ message, fields, process }: Told, mark: Marking): void {
  switch (message) {
    case 'entries that were never replicated are quarantined': {
      const count = Number(fields['entries']);
      mark('quarantined', countedText('quarantined', process, count), { region: process, count });
      return;
    }
    case 'partitions of a lost region stay unavailable: not every other copy can be read':
      mark('note', `${process}: ${message}`);
      return;
    case 'a region is down':
    case 'a region is up again':
      mark(
        'note',
        `the edge finds that ${fields['region']} is ${message.endsWith('down') ? 'down' : 'up again'}`,
      );
  }
}

function staffToken({ host }: Shell, { topology, secrets }: Grounds): string {
  const tokens = openTokens(host, { key: secrets.tokenKey, issuer: topology.name, tokensCachedMax: 1 });
  return tokens.issue({ id: 'operator', role: 'staff' }).token;
}

/**
 * Waits until every copy has all that its home had at this moment, however much traffic there is.
 * @returns what keeps them from it when the time is over; null: nothing
 */
async function behind({ host: { clock } }: Shell, clients: Clients): Promise<string | null> {
  const sinceMs = clock.monotonicMs();
  for (;;) {
    const askedMs = clock.monotonicMs();
    const regions = await regionsSeen(clients);
    const text = regions === null ? 'the regions do not say' : behindText(regions, askedMs - sinceMs);
    if (text === '') return null;
    if (askedMs - sinceMs > IN_STEP_MS_MAX) return text;
    await clock.sleep(LOOK_AGAIN_MS);
  }
}

async function regionsSeen(clients: Clients): Promise<readonly RegionSeen[] | null> {
  const answered = await clients.sendUnseen({ method: 'GET', path: '/operators/regions' });
  if (answered?.status !== 200) return null;
  return (answered.body as { readonly regions: readonly RegionSeen[] }).regions;
}

/** What was born in the region, and others are home to, moves back. @returns whether there was any */
async function giveBack(clients: Clients, to: RegionName, regions: readonly RegionName[]): Promise<boolean> {
  let isAny = false;
  for (const from of regions) {
    if (from !== to && (await switchOver(clients, from, to, to)) > 0) isAny = true;
  }
  return isAny;
}
