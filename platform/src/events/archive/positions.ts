/**
 * Positions of a stream's events, in order of version, as bytes: each as its distance from the one before, seven bits a
 * byte, the lowest first, the eighth set while more follow (LEB128).
 */
export function encodePositions(positions: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  let last = 0;
  for (const position of positions) {
    let left = position - last;
    for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
    bytes.push(left);
    last = position;
  }
  return Uint8Array.from(bytes);
}

export function decodePositions(bytes: Uint8Array): number[] {
  const positions: number[] = [];
  let last = 0;
  let distance = 0;
  let factor = 1;
  for (const byte of bytes) {
    distance += (byte & 0x7f) * factor;
    factor *= 0x80;
    if (byte >= 0x80) continue;
    last += distance;
    positions.push(last);
    distance = 0;
    factor = 1;
  }
  return positions;
}
