/** Who asks. */
export interface Principal {
  /** Account id; `anonymous` without a token. */
  readonly id: string;
  readonly role: 'anonymous' | 'customer' | 'staff';
  /** Ids that the account had before it moved to another region, oldest first. Left out where it never has. */
  readonly former?: readonly string[];
}

export const ANONYMOUS: Principal = { id: 'anonymous', role: 'anonymous' };

/** The same for all ids of one account. */
export function originOf({ id, former = [] }: Principal): string {
  return former[0] ?? id;
}
