/**
 * Slots as Redis Cluster defines them (Redis Cluster Specification, "Key distribution model"): CRC16 in its XMODEM
 * variant of the key, or of its hash tag, modulo 16384. A natural key's cache entry and its partition thus agree.
 *
 * Own code, since `cluster-key-slot` 1.1.2 is wrong for the specification's own example `foo{}{bar}` (4015, not
 * 8363): an empty first tag means that the whole key counts.
 */
export const SLOTS = 16_384;

const POLYNOMIAL = 0x1021;
const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc;
});
const utf8 = new TextEncoder();

/** 0 to 16383. Text counts by its UTF-8 bytes. */
export function slotOf(key: string): number {
  const open = key.indexOf('{');
  if (open >= 0) {
    const close = key.indexOf('}', open + 1);
    if (close > open + 1) return crc16(key.slice(open + 1, close)) % SLOTS;
  }
  return crc16(key) % SLOTS;
}

/** Contiguous ranges of slots, equal in length when `partitions` is a power of two up to 16384. */
export function partitionOfSlot(slot: number, partitions: number): number {
  return Math.floor((slot * partitions) / SLOTS);
}

function crc16(text: string): number {
  let crc = 0;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit > 127) return crc16OfBytes(utf8.encode(text));
    crc = next(crc, unit);
  }
  return crc;
}

function crc16OfBytes(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) crc = next(crc, byte);
  return crc;
}

function next(crc: number, byte: number): number {
  return ((crc << 8) & 0xffff) ^ (TABLE[(crc >>> 8) ^ byte] as number);
}
