/** Requests that begin at a steady rate, however long others take: what waits shows in the latency of those behind it. */

/** Of requests that began in a time. */
export interface Sample {
  readonly tookMs: readonly number[];
  readonly errors: number;
}

export interface Latency {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface SteadyLoad {
  over(durationMs: number): Promise<Sample>;
  mark(): void;
  sinceMark(): Sample;
  /** Waits for what is under way. */
  stop(): Promise<void>;
}

const TICK_MS = 5;

export function steadyLoad(perSecond: number, request: () => Promise<void>): SteadyLoad {
  let sample = { tookMs: [] as number[], errors: 0 };
  const underWay = new Set<Promise<void>>();
  const begunMs = performance.now();
  let begun = 0;

  function begin(): void {
    const own = sample;
    const sinceMs = performance.now();
    const one = request().then(
      () => void own.tookMs.push(performance.now() - sinceMs),
      () => {
        own.errors += 1;
      },
    );
    underWay.add(one);
    void one.finally(() => underWay.delete(one));
  }

  const timer = setInterval(() => {
    const due = ((performance.now() - begunMs) / 1_000) * perSecond;
    for (; begun < due; begun += 1) begin();
  }, TICK_MS);

  function mark(): void {
    sample = { tookMs: [], errors: 0 };
  }

  return {
    mark,
    sinceMark: () => ({ tookMs: [...sample.tookMs], errors: sample.errors }),
    async over(durationMs) {
      mark();
      const own = sample;
      await new Promise((resolve) => setTimeout(resolve, durationMs));
      return { tookMs: [...own.tookMs], errors: own.errors };
    },
    async stop() {
      clearInterval(timer);
      await Promise.all(underWay);
    },
  };
}

export function latencyOf({ tookMs }: Sample): Latency {
  const sorted = tookMs.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) };
}
