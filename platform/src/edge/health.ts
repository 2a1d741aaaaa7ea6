/**
 * Which regions are up. Each is probed at a fixed pace; two failures in a row take it down, two successes bring it
 * back, so that one lost packet moves no traffic. One that goes down again soon has to show twice as many successes each
 * time (flap damping, as in BGP). Failures of real requests count like failed probes. The distance to a
 * region is the shortest round trip of the last probes: the minimum is hardly moved by a busy region or a pause of ours.
 *
 * A region without a lease to write is as good as down while another has one: what is asked of it would wait there.
 */
import type { Clock, Timer } from '../host/host.ts';
import type { RegionName } from '../topology/topology.ts';
import type { Readiness } from './readiness.ts';

export interface RegionHealth {
  /** `unknown` until the first probe has ended; its outcome decides alone. */
  readonly state: 'unknown' | 'up' | 'down';
  /** Outcomes in a row that speak against the state. */
  readonly contrary: number;
  /** Successes in a row while it is up, no more than `STEADY`. */
  readonly steady: number;
  /** How often it went down without having been steady before. */
  readonly flaps: number;
  /** Round trips of the last successful probes, milliseconds, the newest last. */
  readonly roundTripsMs: readonly number[];
  /** The shortest of them; 0 before the first. */
  readonly roundTripMs: number;
  /** When it was last heard of. */
  readonly mayWrite: boolean;
}

export type HealthTable = Readonly<Record<RegionName, RegionHealth>>;

/** What a probe or a request found: milliseconds of the round trip, or a failure. */
export type Outcome = { readonly roundTripMs: number; readonly mayWrite: boolean } | 'failed';

export const PROBE_INTERVAL_MS = 500;
export const PROBE_TIMEOUT_MS = 1_000;
const CONTRARY_MAX = 2;
/** So many successes make a region one that does not flap: half a minute. */
const STEADY = 60;
/** Nobody waits for more successes than 2 to the power of this. */
const FLAPS_MAX = 4;
const ROUND_TRIPS_MAX = 16;

export const UNKNOWN: RegionHealth = {
  state: 'unknown',
  contrary: 0,
  steady: 0,
  flaps: 0,
  roundTripsMs: [],
  roundTripMs: 0,
  mayWrite: true,
};

/** The health after one more outcome. Returns the same object when nothing changed. */
export function observed(health: RegionHealth, outcome: Outcome): RegionHealth {
  const speaks = outcome === 'failed' ? 'down' : 'up';
  const roundTripsMs =
    outcome === 'failed'
      ? health.roundTripsMs
      : [...health.roundTripsMs, outcome.roundTripMs].slice(-ROUND_TRIPS_MAX);
  const roundTripMs = roundTripsMs.length === 0 ? 0 : Math.min(...roundTripsMs);
  const mayWrite = outcome === 'failed' ? health.mayWrite : outcome.mayWrite;
  const isUp = health.state === 'up' && speaks === 'up';
  const steady = isUp ? Math.min(health.steady + 1, STEADY) : 0;
  const flaps = steady === STEADY ? 0 : health.flaps;
  const found = { steady, flaps, roundTripsMs, roundTripMs, mayWrite };
  if (health.state === speaks) {
    if (outcome === 'failed' && health.contrary === 0) return health;
    return { ...found, state: health.state, contrary: 0 };
  }
  const contrary = health.contrary + 1;
  const wanted = speaks === 'up' ? CONTRARY_MAX ** Math.max(1, flaps) : CONTRARY_MAX;
  if (health.state !== 'unknown' && contrary < wanted) return { ...found, state: health.state, contrary };
  const goesDown = health.state === 'up';
  return { ...found, state: speaks, contrary: 0, flaps: goesDown ? Math.min(flaps + 1, FLAPS_MAX) : flaps };
}

/**
 * Where requests may go: with regions that may not write down, unless no other is up; and where none is up, to those that
 * answer again, however few times.
 */
export function serving(table: HealthTable): HealthTable {
  const all = Object.entries(table);
  if (!all.some(([, { state }]) => state === 'up'))
    return Object.fromEntries(
      all.map(([region, health]) => [
        region,
        health.state === 'down' && health.contrary > 0 ? { ...health, state: 'up' } : health,
      ]),
    );
  const isIdle = ({ state, mayWrite }: RegionHealth): boolean => state === 'up' && !mayWrite;
  if (!all.some(([, { state, mayWrite }]) => state === 'up' && mayWrite)) return table;
  if (!all.some(([, health]) => isIdle(health))) return table;
  return Object.fromEntries(
    all.map(([region, health]) => [region, isIdle(health) ? { ...health, state: 'down' } : health]),
  );
}

export interface HealthOptions {
  readonly clock: Clock;
  readonly regions: readonly RegionName[];
  /** Asks a region whether it is ready. Never rejects. */
  readonly probe: (region: RegionName, timeoutMs: number) => Promise<Readiness>;
  /** After a region's state or its distance has changed. */
  readonly onChange?: (region: RegionName, health: RegionHealth, before: RegionHealth) => void;
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
}

export interface Health {
  /** The first probe of every region has ended: none is `unknown` any more. */
  readonly firstRound: Promise<void>;
  table(): HealthTable;
  /** A request could not be delivered. */
  requestFailed(region: RegionName): void;
  stop(): void;
}

/** Begins to probe at once. */
export function watchHealth(options: HealthOptions): Health {
  const { clock, probe, intervalMs = PROBE_INTERVAL_MS, timeoutMs = PROBE_TIMEOUT_MS } = options;
  let table: HealthTable = Object.fromEntries(options.regions.map((region) => [region, UNKNOWN]));
  const timers = new Map<RegionName, Timer>();
  let stopped = false;

  const note = (region: RegionName, outcome: Outcome): void => {
    const before = table[region] ?? UNKNOWN;
    const after = observed(before, outcome);
    if (after === before) return;
    table = { ...table, [region]: after };
    options.onChange?.(region, after, before);
  };

  const probeOnce = async (region: RegionName): Promise<void> => {
    const startMs = clock.monotonicMs();
    const ready = await probe(region, timeoutMs);
    if (stopped) return;
    const tookMs = clock.monotonicMs() - startMs;
    note(region, ready === 'no' ? 'failed' : { roundTripMs: tookMs, mayWrite: ready === 'writes' });
    timers.set(
      region,
      clock.after(Math.max(0, intervalMs - tookMs), () => void probeOnce(region)),
    );
  };
  const firstRound = Promise.all(options.regions.map(probeOnce)).then(() => {});

  return {
    firstRound,
    table: () => serving(table),
    requestFailed: (region) => note(region, 'failed'),
    stop() {
      stopped = true;
      for (const timer of timers.values()) timer.cancel();
    },
  };
}
