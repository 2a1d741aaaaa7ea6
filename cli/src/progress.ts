/**
 * How far a long command is: a bar with rate and remaining time on a terminal, a plain line every few seconds
 * elsewhere, nothing when the command's output is for a program.
 */
import type { Clock, Timer } from 'cardume/host';

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Progress {
  /** Begins the next part of the work; the one before is finished. */
  begin(label: string, total: number): void;
  advance(count?: number): void;
  /** A line that stays. */
  note(text: string): void;
  /** Finishes the last part. */
  end(): void;
}

export const silentProgress: Progress = { begin() {}, advance() {}, note() {}, end() {} };

/** A command's surroundings, with where a bar can be drawn, if anywhere. */
export interface Screened {
  readonly host: { readonly clock: Clock };
  readonly screen?: Output;
}

/** @param json the command's output is for a program */
export function progressOf({ host, screen }: Screened, json: boolean | undefined): Progress {
  return json === true || screen === undefined ? silentProgress : openProgress(screen, host.clock);
}

const drawEveryMs = 100;
const lineEveryMs = 5_000;

export function openProgress(output: Output, clock: Clock): Progress {
  const isTerminal = output.isTTY === true;
  const everyMs = isTerminal ? drawEveryMs : lineEveryMs;
  let part:
    | { readonly label: string; readonly total: number; readonly startMs: number; done: number }
    | undefined;
  let timer: Timer | undefined;

  const state = (): ProgressState => {
    const { label, total, done, startMs } = part as NonNullable<typeof part>;
    return { label, total, done, elapsedMs: clock.monotonicMs() - startMs };
  };
  const clearLine = (): void => void (isTerminal && output.write('\r\x1b[2K'));
  const draw = (): void => {
    if (part === undefined) return;
    // One column stays free: a full last line makes some terminals scroll.
    if (isTerminal) output.write(`\r\x1b[2K${progressBar(state(), (output.columns ?? 80) - 1)}`);
    else output.write(`${progressLine(state())}\n`);
  };
  const drawLater = (): void => {
    timer = clock.after(everyMs, () => {
      draw();
      drawLater();
    });
  };
  const finish = (): void => {
    timer?.cancel();
    if (part === undefined) return;
    clearLine();
    output.write(`${finishedLine(state())}\n`);
    part = undefined;
  };

  return {
    begin(label, total) {
      finish();
      part = { label, total, startMs: clock.monotonicMs(), done: 0 };
      if (isTerminal) draw();
      drawLater();
    },
    advance(count = 1) {
      if (part !== undefined) part.done += count;
    },
    note(text) {
      clearLine();
      output.write(`${text}\n`);
      if (isTerminal) draw();
    },
    end: finish,
  };
}

export interface ProgressState {
  readonly label: string;
  /** 0: not known. */
  readonly total: number;
  readonly done: number;
  readonly elapsedMs: number;
}

export function progressBar(state: ProgressState, columns: number): string {
  const { label, numbers, share } = describe(state);
  const room = columns - label.length - numbers.length - 4;
  if (room < 5) return `${label} ${numbers}`.slice(0, Math.max(0, columns));
  const filled = Math.floor(share * room);
  return `${label} [${'='.repeat(filled)}${' '.repeat(room - filled)}] ${numbers}`;
}

export function progressLine(state: ProgressState): string {
  const { label, numbers } = describe(state);
  return `${label} ${numbers}`;
}

function finishedLine({ label, done, elapsedMs }: ProgressState): string {
  return `${label.padEnd(labelChars)} ${grouped(done)} in ${duration(elapsedMs)}`;
}

const labelChars = 10;

function describe({ label, total, done, elapsedMs }: ProgressState) {
  const share = total === 0 ? 0 : Math.min(1, done / total);
  const ratePerS = elapsedMs === 0 ? 0 : (done * 1000) / elapsedMs;
  const left =
    share >= 1 ? 'done' : ratePerS === 0 ? '-' : `${duration(((total - done) * 1000) / ratePerS)} left`;
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const numbers = `${percent} ${grouped(done)}/${grouped(total)} ${grouped(Math.round(ratePerS))}/s ${left}`;
  return { label: label.padEnd(labelChars), numbers, share };
}

export function grouped(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
