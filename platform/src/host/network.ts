/** Byte streams between instances. HTTP servers and database drivers stand at the rim and do not use it. */
export interface Network {
  listen(address: Address, accept: (connection: Connection) => void): Promise<Listener>;
  /** @throws CardumeError `partition-unavailable` when nobody answers within the timeout */
  connect(address: Address, timeoutMs: number): Promise<Connection>;
}

export interface Address {
  readonly host: string;
  /** 0 lets the system choose (listen only). */
  readonly port: number;
}

export interface Listener {
  readonly address: Address;
  /** Stops listening and ends its connections. */
  close(): Promise<void>;
}

export interface Connection {
  /**
   * Keeps the bytes: nobody may change them any more.
   * @returns false when the peer is slow: write again after `onDrain`
   */
  write(bytes: Uint8Array): boolean;
  onData(listener: (bytes: Uint8Array) => void): void;
  onDrain(listener: () => void): void;
  /** Once, for whatever reason the connection ended; who asks after that is told too. */
  onClose(listener: (reason: string) => void): void;
  close(): void;
}
