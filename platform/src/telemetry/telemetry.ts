/** The face of telemetry: one log and one set of metrics per instance. */
import type { Host } from '../host/host.ts';
import { type Log, type LogLevel, openLog } from './log.ts';
import { type Metrics, openMetrics } from './metrics.ts';

export interface Telemetry {
  readonly log: Log;
  readonly metrics: Metrics;
}

/** @param level default: the environment's `CARDUME_LOG_LEVEL`, else `info` */
export function openTelemetry(
  host: Pick<Host, 'clock' | 'env'>,
  region: string,
  level?: LogLevel,
): Telemetry {
  return { log: openLog(host, { region }, level), metrics: openMetrics(host) };
}
