import type { SendOptions } from 'cardume/cqrs/bus';
import type { OperationContext } from 'cardume/gateway/operation';

/** A request's command is decided under the request's key, precondition and trace. */
export function asked({ key, ifVersion, trace }: OperationContext): SendOptions {
  return { key: key ?? undefined, ifVersion, trace };
}
