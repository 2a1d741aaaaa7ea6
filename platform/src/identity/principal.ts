/** Who asks. */
export interface Principal {
  /** Account id; `anonymous` without a token. */
  readonly id: string;
  readonly role: 'anonymous' | 'customer' | 'staff';
}

export const ANONYMOUS: Principal = { id: 'anonymous', role: 'anonymous' };
