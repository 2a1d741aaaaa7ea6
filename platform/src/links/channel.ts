/**
 * Frames over a byte stream. A frame is a head of nine bytes (length of the body, 4 bytes; kind, 1; id, 4; big-endian)
 * and a body of UTF-8 text. What is sent within one turn of the event loop leaves in one write: under load a system
 * call carries dozens of frames. While the peer reads slowly, frames wait here and can still be taken back.
 */
import type { Clock } from '../host/host.ts';
import type { Connection } from '../host/network.ts';

/** Body of the largest frame. */
export const FRAME_BYTES_MAX = 8 * 1024 * 1024;
/** Bodies that wait for a slow peer, in UTF-16 units. Beyond it senders must refuse what they can. */
export const QUEUE_CHARS_MAX = 32 * 1024 * 1024;
const HEAD_BYTES = 9;
/** One write; the rest waits until it has gone. */
const WRITE_BYTES_MAX = 256 * 1024;

export const Kind = {
  hello: 1,
  challenge: 2,
  proof: 3,
  welcome: 4,
  refused: 5,
  request: 16,
  stream: 17,
  cancel: 18,
  credit: 19,
  ping: 20,
  answer: 32,
  error: 33,
  next: 34,
  end: 35,
  pong: 36,
  /** The answering side shuts down: no new requests, please. */
  leaving: 37,
} as const;

export interface Outgoing {
  readonly kind: number;
  readonly id: number;
  readonly text: string;
  state: 'queued' | 'written' | 'dropped';
}

export interface Channel {
  /** Grows from the handshake's bound once the peer is known. */
  frameBytesMax: number;
  onFrame: (kind: number, id: number, text: string) => void;
  onClose: (reason: string) => void;
  readonly closed: boolean;
  readonly queuedChars: number;
  /** Reads so far: a peer that is alive makes it grow. */
  readonly reads: number;
  send(kind: number, id: number, text: string): Outgoing;
  /** Takes a frame back that was not written. @returns false when it is too late */
  drop(frame: Outgoing): boolean;
  /** Writes what it can, then ends the connection. Frames that were not written stay `queued`. */
  close(reason: string): void;
}

export function openChannel(clock: Clock, connection: Connection, frameBytesMax: number): Channel {
  let queue: Outgoing[] = [];
  let flushing = false;
  let blocked = false;
  let closedBy: string | null = null;
  let told = false;
  let parts: Buffer[] = [];
  let haveBytes = 0;
  let wantBytes = HEAD_BYTES;

  const channel = {
    frameBytesMax,
    onFrame: (_kind: number, _id: number, _text: string): void => {},
    onClose: (_reason: string): void => {},
    closed: false,
    queuedChars: 0,
    reads: 0,
    send(kind: number, id: number, text: string): Outgoing {
      const frame: Outgoing = { kind, id, text, state: 'queued' };
      queue.push(frame);
      channel.queuedChars += text.length;
      if (!flushing && !blocked) {
        flushing = true;
        clock.soon(flush);
      }
      return frame;
    },
    drop(frame: Outgoing): boolean {
      if (frame.state !== 'queued') return false;
      frame.state = 'dropped';
      channel.queuedChars -= frame.text.length;
      return true;
    },
    close(reason: string): void {
      if (channel.closed) return;
      flush();
      channel.closed = true;
      closedBy = reason;
      connection.close();
    },
  };

  function flush(): void {
    flushing = false;
    if (blocked || channel.closed || queue.length === 0) return;
    let taken = 0;
    while (taken < queue.length && !blocked) {
      const first = taken;
      let boundBytes = 0;
      // A UTF-16 unit takes at most three bytes.
      while (taken < queue.length && boundBytes < WRITE_BYTES_MAX) {
        boundBytes += HEAD_BYTES + (queue[taken] as Outgoing).text.length * 3;
        taken += 1;
      }
      const bytes = encoded(queue, first, taken, boundBytes);
      if (bytes.length > 0) blocked = !connection.write(bytes);
    }
    queue = taken === queue.length ? [] : queue.slice(taken);
  }

  function encoded(frames: readonly Outgoing[], from: number, to: number, boundBytes: number): Buffer {
    const bytes = Buffer.allocUnsafe(boundBytes);
    let at = 0;
    for (let i = from; i < to; i += 1) {
      const frame = frames[i] as Outgoing;
      if (frame.state === 'dropped') continue;
      const length = bytes.write(frame.text, at + HEAD_BYTES);
      bytes.writeUInt32BE(length, at);
      bytes[at + 4] = frame.kind;
      bytes.writeUInt32BE(frame.id, at + 5);
      at += HEAD_BYTES + length;
      frame.state = 'written';
      channel.queuedChars -= frame.text.length;
    }
    return bytes.subarray(0, at);
  }

  function read(chunk: Uint8Array): void {
    if (channel.closed) return;
    channel.reads += 1;
    parts.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    haveBytes += chunk.length;
    if (haveBytes < wantBytes) return;
    const bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    let at = 0;
    wantBytes = HEAD_BYTES;
    while (bytes.length - at >= HEAD_BYTES) {
      const length = bytes.readUInt32BE(at);
      if (length > channel.frameBytesMax) {
        channel.close(`a frame of ${length} bytes, more than the ${channel.frameBytesMax} allowed`);
        return;
      }
      const end = at + HEAD_BYTES + length;
      if (end > bytes.length) {
        wantBytes = HEAD_BYTES + length;
        break;
      }
      channel.onFrame(
        bytes[at + 4] as number,
        bytes.readUInt32BE(at + 5),
        bytes.toString('utf8', at + HEAD_BYTES, end),
      );
      if (channel.closed) return;
      at = end;
    }
    haveBytes = bytes.length - at;
    parts = haveBytes === 0 ? [] : [bytes.subarray(at)];
  }

  connection.onData(read);
  connection.onDrain(() => {
    blocked = false;
    flush();
  });
  connection.onClose((reason) => {
    channel.closed = true;
    parts = [];
    if (told) return;
    told = true;
    channel.onClose(closedBy ?? reason);
  });
  return channel;
}

/** Whether the text makes a frame. */
export function fitsFrame(text: string): boolean {
  return text.length * 3 <= FRAME_BYTES_MAX || Buffer.byteLength(text) <= FRAME_BYTES_MAX;
}

/**
 * Ends a channel whose peer is gone without a word (a cut cable, a frozen machine). While `busy`, something must arrive
 * within each interval; `ping` asks the peer for it.
 */
export function watchSilence(
  clock: Clock,
  channel: Channel,
  intervalMs: number,
  busy: () => boolean,
  ping: boolean,
): void {
  let reads = -1;
  const look = (): void => {
    if (channel.closed) return;
    if (busy() && reads === channel.reads) {
      // If this process slept, what has arrived meanwhile is read first.
      clock.soon(() => {
        if (reads === channel.reads) channel.close(`nothing arrived for ${intervalMs} ms`);
        else next();
      });
      return;
    }
    next();
  };
  const next = (): void => {
    reads = busy() ? channel.reads : -1;
    if (ping && busy()) channel.send(Kind.ping, 0, '');
    clock.after(intervalMs, look);
  };
  clock.after(intervalMs, look);
}
