/** A command that could not do its work: one sentence that says why, what to do next, and the exit code. */
export class Failure extends Error {
  readonly exitCode: ExitCode;
  /** What the reader can do now; empty when the sentence says it. */
  readonly next: string;

  constructor(sentence: string, next = '', exitCode: ExitCode = FAILED) {
    super(sentence);
    this.name = 'Failure';
    this.next = next;
    this.exitCode = exitCode;
  }
}

export type ExitCode = typeof FAILED | typeof WRONG_USE;

/** The work could not be done. */
export const FAILED = 1;
/** The command line or the configuration is wrong; nothing was started. */
export const WRONG_USE = 2;
/** 128 + SIGINT: ended at once by a second Ctrl-C. */
export const INTERRUPTED = 130;
