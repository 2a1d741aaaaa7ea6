import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isCardumeError } from '../base/errors.ts';
import type { Connection } from '../host/network.ts';
import { realHost } from '../host/real.ts';
import { openAsker } from './asker.ts';
import { type Channel, FRAME_BYTES_MAX, Kind, openChannel } from './channel.ts';

const { clock } = realHost();
const turn = (): Promise<void> => new Promise((resolve) => clock.soon(resolve));

/** The near end of a connection whose far end the test plays. */
function ends(): {
  connection: Connection;
  written: Uint8Array[];
  slow: boolean;
  data(bytes: Uint8Array): void;
  drain(): void;
  end(): void;
} {
  let data = (_bytes: Uint8Array): void => {};
  let drain = (): void => {};
  let close = (_reason: string): void => {};
  const played = {
    written: [] as Uint8Array[],
    slow: false,
    connection: {
      write(bytes: Uint8Array) {
        played.written.push(bytes);
        return !played.slow;
      },
      onData: (listener: (bytes: Uint8Array) => void) => {
        data = listener;
      },
      onDrain: (listener: () => void) => {
        drain = listener;
      },
      onClose: (listener: (reason: string) => void) => {
        close = listener;
      },
      close: () => close('closed by this side'),
    },
    data: (bytes: Uint8Array) => data(bytes),
    drain: () => drain(),
    end: () => close('the cable was cut'),
  };
  return played;
}

/** What a channel makes of these bytes, however they are cut. */
function framesOf(bytes: readonly Uint8Array[], setUp: (channel: Channel) => void = () => {}): string[] {
  const far = ends();
  const channel = openChannel(clock, far.connection, FRAME_BYTES_MAX);
  const frames: string[] = [];
  channel.onFrame = (kind, id, text) => void frames.push(`${kind} ${id} ${text}`);
  channel.onClose = (reason) => void frames.push(reason);
  setUp(channel);
  for (const part of bytes) far.data(part);
  return frames;
}

describe('a channel', () => {
  it('puts all frames of a turn into one write', async () => {
    const far = ends();
    const channel = openChannel(clock, far.connection, FRAME_BYTES_MAX);
    channel.send(Kind.request, 1, 'é😀');
    channel.send(Kind.cancel, 0xffffffff, '');
    channel.send(Kind.request, 2, 'dropped');
    assert.equal(channel.drop(channel.send(Kind.request, 3, 'taken back')), true);
    await turn();
    assert.equal(far.written.length, 1);
    const expected = ['16 1 é😀', '18 4294967295 ', '16 2 dropped'];
    const [bytes] = far.written as [Uint8Array];
    assert.deepEqual(framesOf([bytes]), expected);
    assert.deepEqual(framesOf(Array.from(bytes, (byte) => Uint8Array.of(byte))), expected);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      assert.deepEqual(framesOf([bytes.subarray(0, cut), bytes.subarray(cut)]), expected);
    }
  });

  it('ends at a frame that is too large, before its body comes', () => {
    const head = Uint8Array.of(0, 0, 0, 11, Kind.request, 0, 0, 0, 1);
    const frames = framesOf([head], (channel) => {
      channel.frameBytesMax = 10;
    });
    assert.deepEqual(frames, ['a frame of 11 bytes, more than the 10 allowed']);
  });

  it('keeps frames while the peer is slow, and can take them back', async () => {
    const far = ends();
    const channel = openChannel(clock, far.connection, FRAME_BYTES_MAX);
    far.slow = true;
    const first = channel.send(Kind.request, 1, 'first');
    await turn();
    const second = channel.send(Kind.request, 2, 'second');
    channel.send(Kind.request, 3, 'third');
    await turn();
    assert.deepEqual([first.state, second.state, far.written.length], ['written', 'queued', 1]);
    assert.equal(channel.queuedChars, 11);
    assert.equal(channel.drop(first), false);
    assert.equal(channel.drop(second), true);
    far.slow = false;
    far.drain();
    assert.deepEqual(framesOf(far.written), ['16 1 first', '16 3 third']);
    assert.equal(channel.queuedChars, 0);
  });
});

describe('an asker on a slow link', () => {
  const options = { peer: 'b', timeoutMs: 20, requestsMax: 10 };

  it('tells what had left from what had not, when the link breaks', async () => {
    const far = ends();
    const asker = openAsker(clock, openChannel(clock, far.connection, FRAME_BYTES_MAX), options, () => {});
    far.slow = true;
    const left = asker.request('1');
    await turn();
    const queued = asker.request('2');
    await turn();
    far.end();
    await assert.rejects(
      left,
      (error) => isCardumeError(error, 'unknown-outcome') && /cable was cut/.test(error.message),
    );
    await assert.rejects(queued, (error) => isCardumeError(error, 'partition-unavailable'));
    await assert.rejects(asker.request('3'), (error) => isCardumeError(error, 'partition-unavailable'));
  });

  it('never sends what it has given up', async () => {
    const far = ends();
    const channel = openChannel(clock, far.connection, FRAME_BYTES_MAX);
    const asker = openAsker(clock, channel, { ...options, timeoutMs: 100 }, () => {});
    far.slow = true;
    const left = asker.request('1');
    await turn();
    const queued = asker.request('2');
    const keepAlive = setInterval(() => {}, 1); // the host's timers do not
    await assert.rejects(left, (error) => isCardumeError(error, 'unknown-outcome'));
    await assert.rejects(queued, (error) => isCardumeError(error, 'partition-unavailable'));
    clearInterval(keepAlive);
    far.slow = false;
    far.drain();
    assert.ok(!framesOf(far.written).includes('16 2 2'));
  });
});
