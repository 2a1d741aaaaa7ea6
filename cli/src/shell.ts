/** What a command needs of the process it runs in. `cardume.ts` opens it; nothing else touches the process. */
import type { Host } from 'cardume/host';
import type { Supervision } from './supervisor/child.ts';

export interface Shell {
  readonly host: Host;
  /** Absolute path of the working folder. */
  readonly folder: string;
  /** Standard output goes to a terminal, and NO_COLOR is not set. */
  readonly colour: boolean;
  /** A line, or several, to standard output. */
  print(text: string): void;
  /** The same to standard error. */
  complain(text: string): void;
  /** Every signal that asks to end. Without a listener they end the process, as usual. */
  onSignal(listener: (signal: StopSignal) => void): void;
  /** Ends the process at once. */
  exit(code: number): never;
  /** The supervisor that started this process; null when a person did. */
  readonly supervision: Supervision | null;
}

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';
