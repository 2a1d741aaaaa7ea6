/** What `cardume start` says when everything runs: where, and three commands to try that work as printed. */
import type { DnsTopology, Topology } from 'cardume/topology';
import { DEMO_CUSTOMER, type Demo } from './demo.ts';

export interface BannerFacts {
  readonly url: string;
  readonly topology: Topology;
  readonly regions: readonly string[];
  readonly dataFolder: string;
  /** Null: nothing was seeded. */
  readonly demo: Demo | null;
}

export function banner(facts: BannerFacts): string {
  const { url, topology, demo } = facts;
  const rows: [string, string][] = [['edge', `${url}  sends each client to the nearest healthy region`]];
  for (const name of facts.regions) {
    const region = topology.regions[name];
    if (region !== undefined) rows.push([name, `http://${region.host}:${region.port}`]);
  }
  const { dns } = topology.edge;
  if (dns !== undefined) rows.push(['DNS', digLine(dns, topology.edge.host)]);
  rows.push(['API docs', `${url}/docs`], ['data', facts.dataFolder]);
  const width = Math.max(...rows.map(([name]) => name.length)) + 3;
  return [
    '',
    'Cardume runs.',
    '',
    ...rows.map(([name, text]) => `  ${name.padEnd(width)}${text}`),
    ...(demo === null
      ? []
      : ['', 'Try in another terminal:', '', ...tries(url, demo).map((text) => `  ${text}`)]),
    '',
    'Ctrl-C stops everything; the data stays.',
    '',
  ].join('\n');
}

/** A question that names the region, whatever addresses the regions have. */
function digLine({ host, port, zone, name }: DnsTopology, edgeHost: string): string {
  const asked = name === undefined ? zone : `${name}.${zone}`;
  return `dig @${host ?? edgeHost} -p ${port} ${asked} TXT +short`;
}

/** Sign in, list products, place an order. */
export function tries(url: string, demo: Demo): readonly string[] {
  const { email, password } = DEMO_CUSTOMER;
  const json = "-H 'Content-Type: application/json'";
  const order = {
    lines: [{ product: Object.values(demo.products)[0], quantity: 1 }],
    payment: { method: 'card', token: 'tok_approve' },
  };
  return [
    `TOKEN=$(curl -s -H 'Accept: text/plain' ${json} -d '${JSON.stringify({ email, password })}' ${url}/users/sign-in)`,
    `curl -s '${url}/products?limit=3'`,
    `curl -s -H "Authorization: Bearer $TOKEN" ${json} -H "Idempotency-Key: $(date +%s)" -d '${JSON.stringify(order)}' ${url}/orders`,
  ];
}
