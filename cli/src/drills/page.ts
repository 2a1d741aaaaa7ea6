/** The page of a drill: what was struck, what it cost, and what happened when. It needs nothing but itself. Pure. */
import { chartOf, escaped, OUTAGE_NAME, outcomeNames, outcomes } from './chart.ts';
import { type Phase, seconds } from './measures.ts';
import { countsText, type Event, eventsOf, fromText, type Outcome, rpoText } from './outcome.ts';

export function pageOf(outcome: Outcome): string {
  const {
    drill,
    region,
    about,
    begun,
    coordinator,
    durability,
    load,
    roundTripMs,
    measures,
    passed,
    missed,
  } = outcome;
  const events = eventsOf(outcome);
  const durabilities = [...new Set(Object.values(durability))].join(' and ');
  const facts = `${begun.slice(0, 19).replace('T', ' ')} UTC · ${coordinator} coordinator · durability ${durabilities}${roundTripMs > 0 ? ` · lines of ${roundTripMs} ms there and back` : ''}${load === null ? '' : ` · load of the machine before it ${load}`}`;
  const verdict = passed
    ? '<span class="verdict passed">passed</span>'
    : `<span class="verdict missed">missed</span>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(`${drill} of ${region}`)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header>
<h1>${escaped(drill)} <small>${escaped(region)}</small> ${verdict}</h1>
<p>${escaped(about)}</p>
<p class="facts">${escaped(facts)}</p>
${missed.length === 0 ? '' : `<ul class="misses">${missed.map((text) => `<li>${escaped(text)}</li>`).join('')}</ul>`}
</header>
<section class="tiles">${tiles(outcome)}</section>
<figure>
${chartOf({ record: outcome.record, events, outage: outageOf(outcome) })}
<figcaption>${legend()}</figcaption>
</figure>
<div class="columns">
<section><h2>What happened</h2><ol class="events">${events.map(eventItem).join('')}</ol></section>
<section><h2>By class of keys</h2>${classes(outcome)}</section>
</div>
<section><h2>Requests</h2>${phases(measures.phases)}</section>
${importSection(outcome)}
${complaintsSection(outcome)}
</main>
</body>
</html>
`;
}

function outageOf({
  record,
  measures,
  from,
}: Outcome): { readonly fromMs: number; readonly toMs: number } | null {
  const at = (kind: string): number | undefined => record.marks.find((mark) => mark.kind === kind)?.atMs;
  const struckMs = at('struck');
  const fromMs = at(from);
  if (struckMs === undefined || fromMs === undefined) return null;
  return { fromMs: struckMs, toMs: measures.rtoMs === null ? record.endedMs : fromMs + measures.rtoMs };
}

function tiles({ measures, limits, from }: Outcome): string {
  const { rtoMs, rpoMs, writes, pauseMs } = measures;
  const { pauseMsMax } = limits;
  const tile = (name: string, value: string, note: string): string =>
    `<div class="tile"><span class="name">${name}</span><strong>${value}</strong><span>${escaped(note)}</span></div>`;
  const rtoNote =
    limits.rtoMsMax === null ? fromText(from) : `at most ${seconds(limits.rtoMsMax)}, ${fromText(from)}`;
  return [
    tile('RTO', rtoMs === null ? 'none' : seconds(rtoMs), rtoNote),
    ...(pauseMsMax === null
      ? []
      : [
          tile(
            'write pause',
            pauseMs === null ? 'not seen' : seconds(pauseMs),
            `at most ${seconds(pauseMsMax)}; the longest of a write beyond the usual`,
          ),
        ]),
    tile('RPO', seconds(rpoMs), `age of the oldest lost write; ${rpoText(limits)}`),
    tile('lost writes', String(writes.lost), `of ${writes.acknowledged} acknowledged, read back one by one`),
    tile('failed requests', String(measures.failed), `${measures.retries} attempts were made again`),
    tile(
      'caught up',
      measures.catchUpMs === null ? 'not seen' : seconds(measures.catchUpMs),
      `behind the way back; in quarantine: ${measures.quarantined}`,
    ),
  ].join('');
}

function legend(): string {
  const keys = [
    ...outcomes.map((key) => [key, outcomeNames[key]] as const),
    ['p50', 'median'] as const,
    ['p99', 'p99'] as const,
    ['outage', OUTAGE_NAME] as const,
  ];
  return keys.map(([key, name]) => `<span class="key"><i class="${key}"></i>${name}</span>`).join('');
}

const eventItem = ({ atMs, kind, text }: Event): string =>
  `<li class="${kind}"><time>${(atMs / 1_000).toFixed(2)} s</time> ${escaped(text)}</li>`;

function classes({ measures }: Outcome): string {
  const rows = Object.entries(measures.firstSuccessMs).map(([kind, ms]) => {
    const lost = measures.lostByKind[kind as keyof typeof measures.lostByKind] ?? 0;
    return `<tr><th>${kind}</th><td>${ms === null ? 'none' : seconds(ms)}</td><td>${lost}</td></tr>`;
  });
  return (
    `<table><thead><tr><th></th><th>first success</th><th>lost</th></tr></thead><tbody>${rows.join('')}</tbody></table>` +
    `<p class="facts">The last attempt that failed on struck keys ended ${seconds(measures.lastFailureMs)} behind the ` +
    `moment that counts; ${measures.movedPartitions} partitions had another home.</p>`
  );
}

function phases(all: readonly Phase[]): string {
  const ms = (value: number | null): string => (value === null ? '' : `${value.toFixed(value < 10 ? 1 : 0)}`);
  const rows = all.map(
    ({ name, fromMs, toMs, requests, attemptErrors, requestErrors, p50Ms, p99Ms, slowestMs }) => {
      const cells = [seconds(toMs - fromMs), String(requests), ms(p50Ms), ms(p99Ms), ms(slowestMs)];
      const errors = [attemptErrors, requestErrors].map(countsText);
      return `<tr><th>${name}</th>${[...cells, ...errors].map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
    },
  );
  const heads = [
    '',
    'lasted',
    'requests',
    'p50, ms',
    'p99, ms',
    'slowest, ms',
    'errors of attempts',
    'after retries',
  ];
  return `<table><thead><tr>${heads.map((head) => `<th>${head}</th>`).join('')}</tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

function importSection({ imported }: Outcome): string {
  if (imported === null) return '';
  const { isExact, complete, countries, file, platform, orders, retries } = imported;
  const sum = isExact
    ? `exact: ${platform} in ${countries} countries`
    : `${platform} of ${file} in ${countries} countries`;
  const text = `${orders} orders${complete ? '' : ', not complete'}; ${sum}; ${retries} attempts were made again.`;
  return `<section><h2>The import that ran through it</h2><p>${escaped(text)}</p></section>`;
}

function complaintsSection({ complaints }: Outcome): string {
  if (complaints.length === 0) return '';
  const lines = complaints.map(
    ({ atMs, process, level, message, fields }) =>
      `${seconds(atMs).padStart(8)}  ${process}  ${level}  ${message}  ${JSON.stringify(fields)}`,
  );
  return (
    `<section><details><summary>${complaints.length} warnings and errors in the logs</summary>` +
    `<pre>${escaped(lines.join('\n'))}</pre></details></section>`
  );
}

const STYLE = `
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #fff; --ink: #1d2733; --soft: #5d6b7a; --rule: #dfe3e6;
  --done: #3b8ea5; --unavailable: #e0a030; --connection: #8b6fb3; --other: #cf4a3c; --outage: #cf4a3c1c; --p99: #b4552d;
  --good: #2b7a4b; --bad: #b8332a; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12181f; --card: #1a222b; --ink: #e5eaef; --soft: #93a1b0; --rule: #2d3945;
    --done: #4fa6bf; --unavailable: #d9a441; --connection: #a78bd0; --other: #e2685a; --outage: #e2685a26; --p99: #e08a5c;
    --good: #58b27c; --bad: #ef7468; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 27px; margin: 0; letter-spacing: -0.01em; }
h1 small { font-weight: 400; color: var(--soft); }
h2 { font-size: 16px; margin: 0 0 8px; }
header p { margin: 4px 0; }
.facts { color: var(--soft); font-size: 13px; }
.verdict { font-size: 13px; font-weight: 600; padding: 3px 10px; border-radius: 99px; vertical-align: 4px; color: var(--card); }
.verdict.passed { background: var(--good); }
.verdict.missed { background: var(--bad); }
.misses { color: var(--bad); margin: 8px 0 0; padding-left: 20px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 12px; margin: 20px 0; }
.tile, figure, .columns section, main > section:not(.tiles) { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px; }
.tile span { display: block; color: var(--soft); font-size: 12.5px; line-height: 1.35; }
.tile strong { display: block; font-size: 26px; font-variant-numeric: tabular-nums; letter-spacing: -0.02em; }
figure { margin: 0 0 16px; overflow-x: auto; }
svg { display: block; width: 100%; min-width: 720px; height: auto; font: 11px system-ui, sans-serif; }
figcaption { display: flex; flex-wrap: wrap; gap: 6px 18px; font-size: 12.5px; color: var(--soft); padding-top: 6px; }
.key i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
i.p50, i.p99 { height: 3px; vertical-align: 3px; }
i.outage { border: 1px solid var(--other); }
.done { fill: var(--done); } i.done { background: var(--done); }
.unavailable { fill: var(--unavailable); } i.unavailable { background: var(--unavailable); }
.connection { fill: var(--connection); } i.connection { background: var(--connection); }
.other { fill: var(--other); } i.other { background: var(--other); }
.outage { fill: var(--outage); } i.outage { background: var(--outage); }
polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.p50 { stroke: var(--done); } i.p50 { background: var(--done); }
.p99 { stroke: var(--p99); } i.p99 { background: var(--p99); }
.grid { stroke: var(--rule); }
.tick { fill: var(--soft); }
.heading { fill: var(--soft); font-size: 11.5px; }
.event line { stroke: var(--soft); stroke-dasharray: 2 3; }
.event circle { fill: var(--soft); }
.event text { fill: var(--card); text-anchor: middle; font-size: 9.5px; font-weight: 600; }
.event.struck line, .event.lease-over line { stroke: var(--other); } .event.struck circle { fill: var(--other); }
.event.success line { stroke: var(--good); } .event.success circle { fill: var(--good); }
.columns { display: grid; grid-template-columns: 3fr 2fr; gap: 16px; margin-bottom: 16px; align-items: start; }
@media (max-width: 760px) { .columns { grid-template-columns: 1fr; } }
main > section:not(.tiles) { margin-bottom: 16px; overflow-x: auto; }
.events { margin: 0; padding-left: 30px; }
.events li::marker { color: var(--soft); font-size: 12px; }
.events time { display: inline-block; min-width: 66px; text-align: right; padding-right: 8px; color: var(--soft); font-variant-numeric: tabular-nums; }
.events .struck { color: var(--bad); font-weight: 600; }
.events .success { color: var(--good); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-top: 1px solid var(--rule); font-weight: 400; vertical-align: top; }
thead th { border: 0; color: var(--soft); font-size: 12.5px; }
tbody th { font-weight: 600; }
td { white-space: nowrap; }
summary { cursor: pointer; }
pre { font-size: 11.5px; overflow-x: auto; }
`;
