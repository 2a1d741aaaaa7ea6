/** `cardume import retail FILE`: orders of a CSV file become orders of the shop. */
import { resolve } from 'node:path';
import { isCardumeError } from 'cardume/base';
import { type Overrides, openConfiguration } from '../configuration.ts';
import { FAILED, Failure, INTERRUPTED, WRONG_USE } from '../failure.ts';
import { localToken } from '../operators.ts';
import type { Output } from '../progress.ts';
import { importRetail } from '../retail/retail.ts';
import type { Shell } from '../shell.ts';

export interface ImportRetailOptions extends Overrides {
  readonly file: string;
  /** Default: the topology's edge. */
  readonly api?: string | undefined;
  /** Default: CARDUME_TOKEN, or one made with the secrets on this machine. */
  readonly token?: string | undefined;
  readonly concurrency?: number | undefined;
  /** False: `--no-journal`. */
  readonly journal?: string | false | undefined;
  readonly limit?: number | undefined;
  readonly report?: string | undefined;
  readonly json?: boolean | undefined;
}

/** `screen` is where a progress bar can be drawn; without it progress comes as lines. */
export type ImportShell = Shell & { readonly screen?: Output };

/** @returns the exit code: 0 when every sellable invoice is a confirmed order */
export async function importRetailCommand(shell: ImportShell, options: ImportRetailOptions): Promise<number> {
  const { topology, dataFolder } = await openConfiguration(shell, options);
  const ended = new AbortController();
  shell.onSignal(() => {
    if (ended.signal.aborted) shell.exit(INTERRUPTED);
    shell.complain('\nEnding: what is under way is waited for. Once more ends at once.');
    ended.abort();
  });
  const inFolder = (path: string): string => resolve(shell.folder, path);
  const lines: Output = { write: (text) => shell.complain(text.replace(/\n$/, '')) };
  try {
    const { complete } = await importRetail({
      file: inFolder(options.file),
      api: options.api ?? `http://${topology.edge.host}:${topology.edge.port}`,
      token:
        options.token ??
        shell.host.env.get('CARDUME_TOKEN') ??
        (await localToken(shell, topology, dataFolder)),
      concurrency: options.concurrency,
      journal: typeof options.journal === 'string' ? inFolder(options.journal) : options.journal,
      data: dataFolder,
      json: options.json,
      limit: options.limit,
      report: options.report === undefined ? undefined : inFolder(options.report),
      signal: ended.signal,
      stdout: { write: (text) => shell.print(text.replace(/\n$/, '')) },
      stderr: shell.screen ?? lines,
      host: shell.host,
    });
    return complete ? 0 : FAILED;
  } catch (error) {
    if (!isCardumeError(error, 'invalid-input') && !isCardumeError(error, 'not-found')) throw error;
    throw new Failure(`${error.message}.`, '', WRONG_USE);
  }
}
