/** What etcd's gateway says: JSON in which bytes are base64, numbers of 64 bits are text, and what is zero is missing. */
import { CardumeError } from '../../base/errors.ts';

export type Message = Readonly<Record<string, unknown>>;

export interface Failure {
  readonly message: string;
  /** Of gRPC; 2, unknown, where there is none. */
  readonly code: number;
}

const UNKNOWN = 2;
const INVALID_ARGUMENT = 3;
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;
const UNAUTHENTICATED = 16;

export const bytesOf = (text: string): string => Buffer.from(text).toString('base64');
export const textOf = (bytes: unknown): string => Buffer.from((bytes as string) ?? '', 'base64').toString();
export const numberOf = (number: unknown): number => Number(number ?? 0);

/** Of an answer that is no success, or of a message in a stream. */
export function failureOf(text: string): Failure {
  try {
    const said = JSON.parse(text) as { readonly error?: unknown; readonly code?: number };
    if (typeof said.error === 'string') return { message: said.error, code: said.code ?? UNKNOWN };
    const { message, grpc_code: code } = said.error as { message?: string; grpc_code?: number };
    return { message: message ?? text.slice(0, 200), code: code ?? UNKNOWN };
  } catch {
    return { message: text.slice(0, 200), code: UNKNOWN };
  }
}

/** It was refused before anything else was done: the member is cut off, or its cluster is choosing. */
export const isNoLeader = ({ message }: Failure): boolean => message === 'etcdserver: no leader';

/** The token is old, of a member that has forgotten it, or from before a change of users. */
export const isSignedOut = ({ message, code }: Failure): boolean =>
  code === UNAUTHENTICATED || /invalid auth token|revision of auth store is old/.test(message);

/** What changed nothing for certain; null: that is not known. */
export function refusal({ message, code }: Failure, user: string | undefined): CardumeError | null {
  const who = user === undefined ? 'who has no user' : `'${user}'`;
  switch (code) {
    case NOT_FOUND:
      return /lease not found/.test(message) ? new CardumeError('fenced', 'the lease has ended') : null;
    case INVALID_ARGUMENT:
      return /user name is empty|authentication failed/.test(message)
        ? new CardumeError('partition-unavailable', `etcd does not let in ${who}: ${message}`)
        : new CardumeError('invalid-input', `etcd refuses it: ${message}`);
    case PERMISSION_DENIED:
      return new CardumeError('partition-unavailable', `etcd permits it not to ${who}: ${message}`);
    case RESOURCE_EXHAUSTED:
      return new CardumeError('overloaded', `etcd takes no more: ${message}`);
    case UNAUTHENTICATED:
      return new CardumeError('partition-unavailable', `etcd does not let in ${who}: ${message}`);
    default:
      return null;
  }
}
