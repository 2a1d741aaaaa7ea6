/**
 * `partition:epoch:position` names an entry for good: it is the consistency token, the checkpoint and the
 * event-stream id. Outside it is opaque text.
 */
import { CardumeError } from '../base/errors.ts';
import type { PartitionKey } from './log.ts';

export interface Token {
  readonly partition: PartitionKey;
  readonly epoch: number;
  readonly position: number;
}

export function encodeToken(token: Token): string {
  return `${token.partition.toString(36)}-${token.epoch.toString(36)}-${token.position.toString(36)}`;
}

const SHAPE = /^([0-9a-z]{1,4})-([0-9a-z]{1,8})-([0-9a-z]{1,10})$/;

/** @throws CardumeError `invalid-cursor` */
export function decodeToken(text: string): Token {
  const match = SHAPE.exec(text);
  if (match === null)
    throw new CardumeError('invalid-cursor', `'${text.slice(0, 40)}' is not a token of this API`);
  const number = (i: number): number => Number.parseInt(match[i] as string, 36);
  return { partition: number(1), epoch: number(2), position: number(3) };
}
