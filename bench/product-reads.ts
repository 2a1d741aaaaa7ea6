/**
 * `GET /products/{id}` three ways, everything on (trace, rate limit, validation, ETag, token, metrics), each beside
 * servers that answer the same bytes, in as many processes:
 *
 *   on the region that is the product's home        bare Fastify
 *   on another region: one hop between instances    @fastify/http-proxy in front of bare Fastify
 *   through the edge, to the home                   the same
 *
 * Requests are pipelined, so that the server is the bottleneck and not whoever asks.
 *
 *   node tools/launch.mjs bench/product-reads.ts
 */
import { parseId } from '../platform/src/base/id.ts';
import { staticPlacement } from '../platform/src/topology/placement.ts';
import { compared, type Figure, type Say } from './figure.ts';
import { loadFor } from './load.ts';
import { call, type Platform, startPlatform } from './platform.ts';
import { startServer } from './server.ts';

const ROUNDS = 5;
const ROUND_S = 2;
const CONNECTIONS = 64;
const PIPELINING = 4;
const HOME = 'us-east';
const ELSEWHERE = 'us-west';
const EDGE_READY_MS_MAX = 10_000;

interface Way {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function run(platform: Platform, say: Say = () => {}): Promise<Figure[]> {
  const id = await productAt(HOME, platform);
  const ways: Record<'home' | 'hop' | 'edge', Way> = {
    home: { url: `${platform.urlOf(HOME)}/products/${id}` },
    hop: { url: `${platform.urlOf(ELSEWHERE)}/products/${id}` },
    edge: { url: `${platform.edge}/products/${id}`, headers: { 'cardume-region': HOME } },
  };
  const page = await bodyOf(ways.home);
  const bare = await startServer('reference-http.ts', 'bare', page);
  const proxy = await startServer('reference-http.ts', 'proxy', bare.url);
  try {
    const all = {
      home: ways.home,
      bare: { url: `${bare.url}/products/${id}` },
      hop: ways.hop,
      proxy: { url: `${proxy.url}/products/${id}` },
      edge: ways.edge,
    };
    for (const way of Object.values(all)) await answersThe(page, way);
    const rounds: Record<keyof typeof all, number>[] = [];
    for (let round = -1; round < ROUNDS; round += 1) {
      say(round < 0 ? 'warms up' : `round ${round + 1} of ${ROUNDS}`);
      const rates: Partial<Record<string, number>> = {};
      const names = Object.keys(all) as (keyof typeof all)[];
      for (const name of round % 2 === 0 ? names : names.toReversed()) {
        const load = { ...all[name], connections: CONNECTIONS, pipelining: PIPELINING };
        rates[name] = await loadFor(ROUND_S, load);
      }
      if (round >= 0) rounds.push(rates as (typeof rounds)[number]);
    }
    const figure = (name: string, ours: keyof Rates, reference: keyof Rates): Omit<Figure, 'target'> => ({
      name: `product reads ${name}`,
      unit: 'requests/s',
      ...compared(rounds.map((rates) => ({ ours: rates[ours], reference: rates[reference] }))),
      beside: reference === 'bare' ? 'bare Fastify' : '@fastify/http-proxy',
    });
    return [
      { ...figure('on their host', 'home', 'bare'), target: { atLeast: 0.6 } },
      { ...figure('through one hop', 'hop', 'proxy'), target: { atLeast: 1 } },
      { ...figure('through the edge', 'edge', 'proxy'), target: null },
    ];
  } finally {
    await proxy.stop();
    await bare.stop();
  }
}

type Rates = Record<'home' | 'bare' | 'hop' | 'proxy' | 'edge', number>;

/** Products are spread over the regions by their code: lists some until one is at home where it should be. */
async function productAt(region: string, { topology, urlOf, staffToken }: Platform): Promise<string> {
  const placement = staticPlacement(topology);
  for (let i = 0; ; i += 1) {
    const { id } = await call<{ id: string }>('POST', `${urlOf(region)}/products`, staffToken, {
      sku: `READ-${i}`,
      name: 'White hanging heart T-light holder',
      description: 'A heart of white metal that hangs from a thread and holds a small candle.',
      category: 'home',
      price: { amount: '2.55', currency: 'GBP' },
      pictures: ['https://example.com/pictures/85123a.jpg'],
    });
    if (placement.homeOf({ service: 'products', ...parseId(id) }) === region) return id;
  }
}

/** The edge sends nothing on before it has seen its regions. */
async function answersThe(page: string, way: Way): Promise<void> {
  const begun = performance.now();
  for (;;) {
    const body = await bodyOf(way).catch((error: Error) => error);
    if (body === page) return;
    if (performance.now() - begun > EDGE_READY_MS_MAX) throw new Error(`${way.url} answers ${body}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function bodyOf({ url, headers = {} }: Way): Promise<string> {
  const response = await fetch(url, { headers });
  const body = await response.text();
  if (!response.ok) throw new Error(`GET ${url}: ${response.status} ${body}`);
  return body;
}

if (import.meta.main) {
  const platform = await startPlatform();
  try {
    console.log(await run(platform, console.error));
  } finally {
    await platform.stop();
  }
}
