/**
 * Both ends of a link prove that they know the cluster's secret before any request is served, by challenge and
 * response: each signs (HMAC-SHA256) both names, both fresh nonces and its own role, so that nothing recorded on another
 * link, and nothing that the other side said, is of use.
 *
 *   dialer → hello { protocol, from, to, nonce }
 *          ← challenge { protocol, nonce, proof of the accepter }
 *          → proof { proof of the dialer }
 *          ← welcome
 *
 * The link is authenticated, not encrypted: who can read or change packets between instances is kept out by the network
 * (one machine, a private network, a mesh with mutual TLS).
 */
import { CardumeError } from '../base/errors.ts';
import type { Cryptography } from '../host/cryptography.ts';
import type { Clock, Host } from '../host/host.ts';
import { type Channel, FRAME_BYTES_MAX, Kind } from './channel.ts';

/**
 * Versions of what is said over a link. A new field that may be missing, or a new kind of message that is asked for only
 * when the peer is known to have it, is no new version; what a peer of the newest would misread is. The newest that both
 * speak is spoken; a release speaks its own and that of the one before.
 */
export interface Protocols {
  readonly newest: number;
  readonly oldest: number;
}

export const PROTOCOLS: Protocols = { newest: 1, oldest: 1 };
const NONCE_BYTES = 32;
export const HANDSHAKE_BYTES_MAX = 2_048;
const NAME_CHARS_MAX = 100;

export interface Secrets {
  readonly self: string;
  /** Known to every instance of the cluster; at least 16 bytes. */
  readonly secret: Uint8Array;
  /** In place of this program's own, for tests of others. */
  readonly protocols?: Protocols;
}

interface Session {
  readonly protocol: number;
  readonly from: string;
  readonly to: string;
  readonly dialerNonce: string;
  readonly accepterNonce: string;
}

/** @throws CardumeError `partition-unavailable` when the peer cannot prove itself, or refuses us, or takes too long */
export async function dial(
  host: Host,
  channel: Channel,
  { self, secret, protocols = PROTOCOLS }: Secrets,
  to: string,
  timeoutMs: number,
): Promise<void> {
  const inbox = messages(channel, host.clock, timeoutMs);
  const dialerNonce = host.random.bytes(NONCE_BYTES).toBase64();
  channel.send(
    Kind.hello,
    0,
    JSON.stringify({ protocol: protocols.newest, from: self, to, nonce: dialerNonce }),
  );
  const challenge = await inbox.expect(Kind.challenge);
  const session = {
    protocol: whole(challenge['protocol']),
    from: self,
    to,
    dialerNonce,
    accepterNonce: text(challenge['nonce']),
  };
  if (session.protocol > protocols.newest || session.protocol < protocols.oldest)
    throw unspoken(self, protocols, to, session.protocol);
  if (!isProof(host.crypto, secret, 'accepter', session, challenge['proof'])) {
    throw refusal(`'${to}' does not know the cluster's secret`);
  }
  channel.send(Kind.proof, 0, JSON.stringify({ proof: proof(host.crypto, secret, 'dialer', session) }));
  await inbox.expect(Kind.welcome);
  inbox.done();
  channel.frameBytesMax = FRAME_BYTES_MAX;
}

/**
 * @returns the dialer's name, proven. The channel is then at its full frame size, and the caller sets `onFrame` before
 *   the next frame is read.
 * @throws CardumeError `partition-unavailable`; the peer has been told why
 */
export function accept(
  host: Host,
  channel: Channel,
  { self, secret, protocols = PROTOCOLS }: Secrets,
  timeoutMs: number,
  proven: (from: string) => void,
): Promise<void> {
  const inbox = messages(channel, host.clock, timeoutMs);
  return converse().catch((error: unknown) => {
    inbox.done();
    channel.send(Kind.refused, 0, JSON.stringify({ reason: (error as Error).message.slice(0, 500) }));
    channel.close((error as Error).message);
    throw error;
  });

  async function converse(): Promise<void> {
    const hello = await inbox.expect(Kind.hello);
    const session = {
      protocol: Math.min(protocols.newest, whole(hello['protocol'])),
      from: text(hello['from']),
      to: text(hello['to']),
      dialerNonce: text(hello['nonce']),
      accepterNonce: host.random.bytes(NONCE_BYTES).toBase64(),
    };
    if (session.to !== self) throw refusal(`this is '${self}', not '${session.to}'`);
    if (session.protocol < protocols.oldest) throw unspoken(self, protocols, session.from, session.protocol);
    channel.send(
      Kind.challenge,
      0,
      JSON.stringify({
        protocol: session.protocol,
        nonce: session.accepterNonce,
        proof: proof(host.crypto, secret, 'accepter', session),
      }),
    );
    const answer = await inbox.expect(Kind.proof);
    if (!isProof(host.crypto, secret, 'dialer', session, answer['proof'])) {
      throw refusal(`'${session.from}' does not know the cluster's secret`);
    }
    inbox.done();
    channel.frameBytesMax = FRAME_BYTES_MAX;
    proven(session.from);
    channel.send(Kind.welcome, 0, '{}');
  }
}

function proof(
  crypto: Cryptography,
  secret: Uint8Array,
  role: 'dialer' | 'accepter',
  session: Session,
): string {
  return mac(crypto, secret, role, session).toBase64();
}

function isProof(
  crypto: Cryptography,
  secret: Uint8Array,
  role: 'dialer' | 'accepter',
  session: Session,
  given: unknown,
): boolean {
  // Compared as the text's bytes: any other encoding of the right MAC is no proof either.
  const bytes = new TextEncoder();
  return crypto.equal(bytes.encode(proof(crypto, secret, role, session)), bytes.encode(text(given)));
}

function mac(crypto: Cryptography, secret: Uint8Array, role: string, session: Session): Uint8Array {
  const { protocol, from, to, dialerNonce, accepterNonce } = session;
  return crypto.hmacSha256(
    secret,
    JSON.stringify(['cardume link', protocol, role, from, to, dialerNonce, accepterNonce]),
  );
}

interface Inbox {
  expect(kind: number): Promise<Readonly<Record<string, unknown>>>;
  done(): void;
}

/** The handshake's frames, one after another, within one deadline. */
function messages(channel: Channel, clock: Clock, timeoutMs: number): Inbox {
  const arrived: { kind: number; body: string }[] = [];
  let failure: CardumeError | null = null;
  let wake = (): void => {};
  const fail = (why: string): void => {
    failure ??= refusal(why);
    wake();
  };
  const deadline = clock.after(timeoutMs, () => fail(`the handshake took longer than ${timeoutMs} ms`));
  channel.onClose = (reason) => fail(`the connection ended in the handshake: ${reason}`);
  channel.onFrame = (kind, _id, body) => {
    // Neither side sends two frames in a row: more is an attempt to fill our memory.
    if (arrived.length > 1) return channel.close('the peer does not wait for its turn');
    arrived.push({ kind, body });
    wake();
  };
  return {
    async expect(kind) {
      while (arrived.length === 0 && failure === null) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const frame = arrived.shift();
      if (frame === undefined) throw failure;
      const body = parsed(frame.body);
      if (frame.kind === Kind.refused)
        throw refusal(`the peer refuses the link: ${String(body['reason']).slice(0, 500)}`);
      if (frame.kind !== kind)
        throw refusal(`the peer does not speak this protocol (frame ${frame.kind}, not ${kind})`);
      return body;
    },
    done: () => deadline.cancel(),
  };
}

function parsed(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through: not JSON is refused as any other shape.
  }
  throw refusal('the peer does not speak this protocol');
}

function text(value: unknown): string {
  if (typeof value !== 'string' || value.length > NAME_CHARS_MAX)
    throw refusal('the peer does not speak this protocol');
  return value;
}

function whole(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw refusal('the peer does not speak this protocol');
  return value as number;
}

function unspoken(self: string, { newest, oldest }: Protocols, peer: string, spoken: number): CardumeError {
  const ours = oldest === newest ? `protocol ${newest}` : `protocols ${oldest} to ${newest}`;
  const older = spoken < oldest ? peer : self;
  return refusal(`'${self}' speaks ${ours}, '${peer}' ${spoken}: run a newer version of '${older}'`);
}

function refusal(why: string): CardumeError {
  return new CardumeError('partition-unavailable', why);
}
