/** The operators' part of the API, asked from a command line on a machine that has the secrets, or a token. */
import type { Topology } from 'cardume/topology';
import { type Api, openApi } from './api.ts';
import { type Overrides, openConfiguration } from './configuration.ts';
import { Failure, WRONG_USE } from './failure.ts';
import { readSecrets } from './secrets.ts';
import type { Shell } from './shell.ts';
import { issueToken } from './token.ts';

export interface OperatorOptions extends Overrides {
  /** Default: the topology's edge. */
  readonly api?: string | undefined;
  /** Default: CARDUME_TOKEN, or one made with the secrets on this machine. */
  readonly token?: string | undefined;
}

export interface Operators {
  readonly topology: Topology;
  /** @throws Failure with what the API says, or that it cannot be reached */
  ask<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T>;
  close(): void;
}

/** What the API says of a region's shards. */
export interface RegionShards {
  readonly region: string;
  readonly version: number;
  readonly shards: readonly ShardLine[];
  readonly reshard: ReshardLine | null;
}

export interface ShardLine {
  readonly service: string;
  readonly name: string;
  readonly engine: string;
  readonly partitions: number;
  readonly entries: number;
  readonly building: readonly {
    readonly projection: string;
    readonly entries_folded: number;
    readonly entries_left: number;
  }[];
  readonly replicas: readonly {
    readonly name: string;
    readonly entries_behind: number | null;
    readonly building: boolean;
    readonly reads: number;
    readonly trouble: string | null;
  }[];
  readonly busiest: readonly { readonly partition: number; readonly entries_a_minute: number }[];
}

export interface ReshardLine {
  readonly service: string;
  readonly phase: 'moving' | 'following' | 'returning' | 'dropping';
  readonly trouble: string | null;
  readonly moves: readonly MoveLine[];
}

export interface MoveLine {
  readonly partition: number;
  readonly from: string;
  readonly to: string;
  readonly state: 'waiting' | 'copying' | 'moved';
  readonly held_ms: number | null;
  /** Absent from an instance of the version before. */
  readonly entries_left?: number | null;
  readonly verified: { readonly entries: number; readonly rows: number } | null;
}

const TIMEOUT_MS = 30_000;

export async function openOperators(shell: Shell, options: OperatorOptions): Promise<Operators> {
  const { topology, dataFolder } = await openConfiguration(shell, options);
  const address = options.api ?? `http://${topology.edge.host}:${topology.edge.port}`;
  const token =
    options.token ?? shell.host.env.get('CARDUME_TOKEN') ?? (await localToken(shell, topology, dataFolder));
  const api: Api = openApi(address, token, 2, TIMEOUT_MS);
  return {
    topology,
    async ask<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
      const answered = await api
        .send({ method, path, ...(body === undefined ? {} : { body }) })
        .catch((error: Error) => {
          throw new Failure(
            `${address} does not answer: ${error.message}.`,
            '`npm start` runs the platform here; --api names another address.',
          );
        });
      if (answered.status < 300) return answered.body as T;
      const { detail = `status ${answered.status}`, help = '' } = (answered.body ?? {}) as Record<
        string,
        string
      >;
      const isWrong = answered.status === 400 || answered.status === 404;
      throw new Failure(sentence(detail), isWrong ? '' : help, isWrong ? WRONG_USE : undefined);
    },
    close: () => api.close(),
  };
}

function sentence(text: string): string {
  const start = `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

/** @throws Failure where there are no secrets */
export async function localToken(shell: Shell, topology: Topology, dataFolder: string): Promise<string> {
  const secrets = await readSecrets(shell.host, dataFolder);
  if (secrets !== null)
    return issueToken(shell.host, topology, secrets, { id: 'operator', role: 'staff' }).token;
  throw new Failure(
    'It takes the token of a staff account.',
    'Give it with --token, or in CARDUME_TOKEN; `npm start` makes the secrets of this machine.',
    WRONG_USE,
  );
}

/** `3/7`: scope and partition. */
export function partitionText(key: number): string {
  return `${Math.floor(key / 1024)}/${key % 1024}`;
}

/** @returns the key; null when it is none */
export function parsePartition(text: string): number | null {
  const [, scope, partition] = /^(\d{1,2})\/(\d{1,4})$/.exec(text) ?? [];
  if (scope === undefined || partition === undefined) return null;
  const [s, p] = [Number(scope), Number(partition)];
  return s < 32 && p < 1024 ? s * 1024 + p : null;
}
