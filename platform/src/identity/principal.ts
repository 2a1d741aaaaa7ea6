/** Who asks. */
export interface Principal {
  /** Account id; `anonymous` without a token. */
  readonly id: string;
  readonly role: 'anonymous' | 'customer' | 'staff';
  /** Left out where the account has never moved to another region. */
  readonly former?: Former;
}

export interface Former {
  /** Ids that the account had before, oldest first. */
  readonly ids: readonly string[];
  /** When the last of them was left, in milliseconds since 1970. */
  readonly leftMs: number;
}

export const ANONYMOUS: Principal = { id: 'anonymous', role: 'anonymous' };

/** The same for all ids of one account. */
export function originOf({ id, former }: Principal): string {
  return former?.ids[0] ?? id;
}
