/** Cryptography behind the door: in the simulation nothing may finish in an arbitrary order. */
export interface Cryptography {
  /** 32 bytes. */
  sha256(data: string | Uint8Array): Uint8Array;
  /** 32 bytes. */
  hmacSha256(key: Uint8Array, data: string | Uint8Array): Uint8Array;
  /** AES-256-GCM: nonce (12 bytes), cipher text and tag (16 bytes) in one array. `context` is authenticated only. */
  seal(key: Uint8Array, plain: Uint8Array, context: string): Uint8Array;
  /** @returns null when the key or the context is wrong, or the bytes were changed */
  open(key: Uint8Array, sealed: Uint8Array, context: string): Uint8Array | null;
  /** Argon2id (RFC 9106), parallelism 1, 32 bytes; runs on the thread pool. */
  argon2id(password: string, salt: Uint8Array, cost: Argon2Cost): Promise<Uint8Array>;
  /** In constant time. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
  /** A new Ed25519 key pair as PEM (PKCS#8 and SPKI). */
  newSigningKey(): { readonly privatePem: string; readonly publicPem: string };
}

export interface Argon2Cost {
  readonly memoryKib: number;
  readonly passes: number;
}
