/** A picture of one run: each region up and down, the faults as they befell it, and every order from asking to answer. */
import type { FaultKind } from './plan.ts';
import type { Ran } from './run.ts';

const WIDTH = 1_100;
const LEFT = 110;
const RIGHT = 20;
const TOP = 58;
const BAR = 18;
const LANE = 62;
const ROW = 6;
const ORDERS = 120;
const ORDER_ROWS = 36;
const INK = '#1f2933';
const UP = '#2f855a';
const DOWN = '#dfe5ec';
const TOLD = '#2b6cb0';
const UNTOLD = '#c53030';

interface Family {
  readonly name: string;
  readonly colour: string;
  readonly kinds: readonly FaultKind[];
}

/** A row of its own each, under the region that it befalls. */
const families: readonly Family[] = [
  {
    name: 'power, kill, restart, replace',
    colour: '#9b2c2c',
    kinds: ['power', 'power-in-commit', 'kill', 'restart', 'replace'],
  },
  { name: 'pause, thread, clock', colour: '#b7791f', kinds: ['pause', 'thread', 'clock'] },
  { name: 'network', colour: '#6b46c1', kinds: ['partition', 'disconnect', 'clog'] },
  { name: 'disk', colour: '#dd6b20', kinds: ['disk-full', 'disk-write', 'disk-read', 'disk-slow'] },
  { name: 'bank', colour: '#319795', kinds: ['bank-down'] },
];

export function picture({ seed, plan, virtualMs, states, happened, history, violations }: Ran): string {
  const { regions } = plan;
  const scale = (WIDTH - LEFT - RIGHT) / virtualMs;
  const lane = (i: number): number => TOP + i * LANE;
  const ordersTop = lane(regions.length) + 6;
  const axis = ordersTop + ORDERS + 14;
  const height = axis + 44;
  const parts: string[] = [];
  const text = (x: number, y: number, words: string, more = ''): void => {
    parts.push(`<text x="${x.toFixed(1)}" y="${y}" ${more}>${escaped(words)}</text>`);
  };
  const bar = (fromMs: number, untilMs: number, y: number, h: number, fill: string, title: string): void => {
    const until = Math.min(untilMs, virtualMs);
    const [x, width] = [LEFT + scale * fromMs, Math.max(1.5, scale * (until - fromMs))];
    parts.push(
      `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${h}" fill="${fill}"><title>${escaped(title)}</title></rect>`,
    );
  };

  text(20, 26, `Seed ${seed}`, 'font-size="18" font-weight="600"');
  const end = violations.length === 0 ? 'everything held' : `${violations.length} violations`;
  const seconds = (virtualMs / 1000).toFixed(0);
  text(
    LEFT,
    26,
    `${seconds} virtual seconds, ${happened.length} faults, ${history.orders.length} orders: ${end}`,
  );
  for (let s = 0; s * 1000 <= virtualMs; s += 10) {
    const x = LEFT + scale * s * 1000;
    parts.push(
      `<line x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${TOP - 8}" y2="${axis - 12}" stroke="${DOWN}"/>`,
    );
    text(x - 8, axis + 2, `${s} s`, 'font-size="11" opacity="0.7"');
  }
  regions.forEach((region, i) => {
    text(20, lane(i) + 14, region);
    bar(0, virtualMs, lane(i), BAR, DOWN, `${region} is down`);
    const own = states.filter((one) => one.region === region);
    own.forEach(({ atMs, isUp }, n) => {
      if (isUp) bar(atMs, own[n + 1]?.atMs ?? virtualMs, lane(i), BAR, UP, `${region} is up`);
    });
    for (const { atMs, fault, text: what } of happened) {
      if (fault.region !== region) continue;
      const row = families.findIndex(({ kinds }) => kinds.includes(fault.kind));
      const y = lane(i) + BAR + 3 + row * ROW;
      bar(atMs, atMs + fault.forMs, y, ROW - 1, families[row]?.colour ?? INK, `${fault.number}: ${what}`);
    }
  });
  text(20, ordersTop + 14, 'orders');
  history.orders.forEach(({ fromMs, untilMs, answer }, i) => {
    const y = ordersTop + ((i % ORDER_ROWS) * ORDERS) / ORDER_ROWS;
    const [told, title] = answer === null ? [UNTOLD, 'nobody was told'] : [TOLD, `order ${answer.id}`];
    bar(fromMs, Math.min(untilMs, virtualMs), Number(y.toFixed(1)), 2.5, told, title);
  });
  let x = 20;
  const legend = [
    { name: 'up', colour: UP },
    { name: 'down', colour: DOWN },
    ...families,
    { name: 'order, asked to told', colour: TOLD },
  ];
  for (const { name, colour } of legend) {
    parts.push(`<rect x="${x}" y="${height - 20}" width="11" height="11" fill="${colour}"/>`);
    text(x + 16, height - 10, name, 'font-size="12"');
    x += 34 + name.length * 6.6;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="${INK}" role="img"><title>The simulated run of seed ${seed}</title><rect width="100%" height="100%" fill="#ffffff"/>
${parts.join('\n')}
</svg>
`;
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
