/** The way of a request's command there and back: what it is decided under, and what the caller is told with it. */
import type { Answer, SendOptions } from 'cardume/cqrs/bus';
import type { OperationContext, Reply } from 'cardume/gateway/operation';

export function asked({
  key,
  ifVersion,
  trace,
}: Pick<OperationContext, 'key' | 'ifVersion' | 'trace'>): SendOptions {
  return { key: key ?? undefined, ifVersion, trace };
}

/** The consistency token; under an idempotency key also whether this is the remembered answer. */
export function told(
  { token, replayed }: Pick<Answer, 'token' | 'replayed'>,
  { key }: Pick<OperationContext, 'key'>,
): Pick<Reply, 'token' | 'headers'> {
  if (key === null) return { token };
  return { token, headers: { 'idempotency-replayed': String(replayed) } };
}
