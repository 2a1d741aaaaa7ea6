/** Last committed versions of the streams written lately; two generations, so that memory is bounded. */
const GENERATION_STREAMS_MAX = 8_192;

export interface RecentVersions {
  /** Never wrong when it says yes. */
  has(stream: string, version: number): boolean;
  add(stream: string, version: number): void;
}

export function recentVersions(): RecentVersions {
  let young = new Map<string, number>();
  let old = new Map<string, number>();
  return {
    has: (stream, version) => (young.get(stream) ?? old.get(stream) ?? 0) >= version,
    add(stream, version) {
      if (young.size >= GENERATION_STREAMS_MAX) {
        old = young;
        young = new Map();
      }
      young.set(stream, version);
    },
  };
}
