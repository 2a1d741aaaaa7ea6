/** A process that the supervisor starts: how it says that it is ready, or cannot be, and how it learns that it must end. */
import { isCardumeError } from 'cardume/base';
import { FAILED, Failure } from './failure.ts';
import type { Shell } from './shell.ts';

export interface Supervised {
  /** Resolves when it must end: with how long what is under way may take, or null for as long as it needs. */
  readonly stop: Promise<number | null>;
  ready(url: string): void;
  /**
   * What an operator can act on is told to the supervisor, or to whoever started the process by hand.
   * @returns the exit code
   * @throws what is a bug, and Failure where nobody supervises
   */
  failed(error: unknown, what: string): Promise<number>;
}

/** Without its supervisor it only finishes what is under way, so that the next start finds the ports free. */
const LOST_DRAIN_MS = 1_000;

/** @param isRunning whether something was acknowledged yet; before, it ends at once */
export function supervised(shell: Shell, isRunning: () => boolean): Supervised {
  const { host, supervision } = shell;
  // Set up before anything is loaded: a supervisor may be gone at any time.
  const stop = new Promise<number | null>((resolve) => {
    supervision?.onLost(() => resolve(LOST_DRAIN_MS));
    supervision?.onOrder(() => resolve(null));
    // A terminal sends Ctrl-C to this process too; under a supervisor, its order counts.
    shell.onSignal((signal) => {
      if (supervision === null || signal === 'SIGTERM') resolve(null);
    });
  });
  void stop.then(() => {
    if (!isRunning()) shell.exit(0);
  });
  return {
    stop,
    ready: (url) => supervision?.report({ kind: 'ready', url }),
    async failed(error, what) {
      const known = knownFailure(error);
      if (known === null) throw error;
      if (supervision === null) throw new Failure(`${what} cannot start: ${known.sentence}`);
      supervision.report({ kind: 'failed', ...known });
      await host.clock.sleep(50); // for the report to leave
      return FAILED;
    },
  };
}

/** What an operator can act on; anything else is a bug and shows its stack. */
function knownFailure(error: unknown): { readonly sentence: string; readonly lasting: boolean } | null {
  if (error instanceof Failure) return { sentence: `${error.message} ${error.next}`.trim(), lasting: true };
  if (isCardumeError(error, 'storage-failed')) {
    const next = 'Restore the file from a backup, or move the folder of the region away to start it empty.';
    return { sentence: `${error.message}. ${next}`, lasting: true };
  }
  if (isCardumeError(error)) return { sentence: error.message, lasting: error.code === 'invalid-input' };
  const { code, message } = error as { code?: string; message: string };
  return code === 'EADDRINUSE' || code === 'EACCES' ? { sentence: message, lasting: false } : null;
}
