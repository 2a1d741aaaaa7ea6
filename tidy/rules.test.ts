// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are source text
/** A rule that catches nothing is worse than none: each gets a sample that it must refuse and one that it must not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { House, Package, Rule } from './house.ts';
import { dead } from './rules/dead.ts';
import { checkErrors } from './rules/errors.ts';
import { floors } from './rules/floors.ts';
import { globals } from './rules/globals.ts';
import { names } from './rules/names.ts';
import { packages } from './rules/packages.ts';
import { scan } from './scan.ts';

const samplePackages: readonly Package[] = [
  {
    name: 'cardume',
    folder: 'platform',
    exports: { './events': './src/events/events.ts', './base': './src/base/errors.ts', './*': './src/*.ts' },
  },
  { name: '@cardume/shop', folder: 'shop', exports: { './*': './src/*.ts' } },
];

type Files = Readonly<Record<string, string>>;

const house = (files: Files): House => ({
  packages: samplePackages,
  sources: Object.entries(files).map(([path, text]) => scan(path, text)),
});

function refuses(rule: Rule, files: Files, expected: readonly RegExp[]): void {
  const found = rule.check(house(files)).map(({ path, line, message }) => `${path}:${line}: ${message}`);
  assert.equal(found.length, expected.length, `${expected.length} expected, found:\n${found.join('\n')}`);
  for (const [i, pattern] of expected.entries()) assert.match(found[i] as string, pattern);
}

const accepts = (rule: Rule, files: Files): void => refuses(rule, files, []);

describe('floors', () => {
  test('refuses a higher floor, a neighbour, and anything under base', () => {
    refuses(floors, { 'platform/src/events/log.ts': "\nimport { x } from '../cqrs/bus.ts';" }, [
      /log\.ts:2: .*higher floor/,
    ]);
    refuses(floors, { 'platform/src/host/a.ts': "import type { x } from 'cardume/events';" }, [
      /higher floor/,
    ]);
    refuses(floors, { 'platform/src/privacy/a.ts': "import { x } from '../identity/x.ts';" }, [/neighbour/]);
    refuses(floors, { 'platform/src/base/a.ts': "import { x } from 'lru-cache';" }, [/base is pure/]);
    refuses(floors, { 'platform/src/base/a.ts': "import { x } from 'node:util';" }, [/base is pure/]);
    refuses(floors, { 'platform/src/things/a.ts': '' }, [/'things' has no row/]);
    refuses(floors, { 'platform/src/a.ts': '' }, [/has no row/]);
  });

  test('keeps testing for tests and the simulation', () => {
    const text = "import { x } from 'cardume/testing/host';";
    refuses(floors, { 'platform/src/events/a.ts': text, 'shop/src/orders/a.ts': text }, [/events/, /orders/]);
    accepts(floors, {
      'platform/src/events/a.test.ts': text,
      'sim/world.ts': text,
      'shop/src/orders/a.test.ts': text,
    });
  });

  test('accepts lower floors, its own, and npm', () => {
    accepts(floors, {
      'platform/src/events/log.ts':
        "import '../base/id.ts'; import { y } from './token.ts'; import 'lru-cache';",
      'platform/src/base/id.ts': "import { x } from './assert.ts';",
    });
  });
});

describe('packages', () => {
  test('refuses the wrong direction, and services that know each other', () => {
    refuses(packages, { 'platform/src/cqrs/a.ts': "import '@cardume/shop/users/users';" }, [
      /platform imports shop/,
    ]);
    refuses(packages, { 'shop/src/shop.ts': "import '../../cli/src/start.ts';" }, [/shop imports cli/]);
    refuses(packages, { 'shop/src/orders/a.ts': "import type { P } from '../products/p.ts';" }, [
      /contracts/,
    ]);
    refuses(packages, { 'shop/src/contracts/a.ts': "import type { P } from '../products/p.ts';" }, [
      /contracts imports/,
    ]);
  });

  test('accepts contracts, the platform, and the file that puts the shop together', () => {
    accepts(packages, {
      'shop/src/orders/a.ts': "import '../contracts/ids.ts'; import 'cardume/events';",
      'shop/src/shop.ts': "import './orders/orders.ts'; import './users/users.ts';",
      'cli/src/start.ts': "import '@cardume/shop/shop'; import '../../platform/src/base/id.ts';",
    });
  });
});

describe('globals', () => {
  const refused: readonly string[] = [
    'Date.now()',
    'new Date()',
    'performance.now()',
    'setTimeout(f, 1)',
    'const later = setImmediate;',
    'Math.random()',
    'crypto.randomUUID()',
    "await fetch('http://x')",
    'process.env',
    "process['env']",
    'globalThis.Date',
    "import { readFileSync } from 'node:fs';",
    "import { readFile } from 'node:fs/promises';",
    "import { Worker } from 'node:worker_threads';",
    "const { hash } = await import('node:crypto');",
    "import { setTimeout as sleep } from 'node:timers/promises';",
    '`${Date.now()}`',
  ];
  for (const text of refused) {
    test(`refuses ${text}`, () => {
      const found = globals.check(house({ 'platform/src/cqrs/a.ts': text }));
      assert.ok(found.length > 0);
      for (const { message } of found) assert.match(message, /: use /);
    });
  }

  test('accepts the host, dates with an argument, own names, comments and strings', () => {
    accepts(globals, {
      'platform/src/cqrs/a.ts': [
        'new Date(ms); Date.parse(text); host.clock.after(1, f); queueMicrotask(f);',
        '// Date.now() is forbidden',
        "const text = 'process.env'; const re = /Math.random/;",
        "import type { Server } from 'node:http';",
        'interface Upstream { fetch(request: Request): Promise<Response>; setTimeout(ms: number): void }',
        'const upstream = { async fetch(request) { return request; } };',
        'host.crypto.sha256(x); this.process.on(event);',
        'for (const process of processes) process.on(event);',
      ].join('\n'),
      'platform/src/host/clock.ts': 'Date.now()',
      'platform/src/gateway/http.ts': 'setTimeout(f, 1)',
      'tools/a.ts': 'process.env',
      'shop/src/users/a.test.ts': "import 'node:fs';",
    });
  });
});

describe('dead files', () => {
  test('refuses a file that only its own test imports', () => {
    refuses(dead, { 'shop/src/a.ts': '', 'shop/src/a.test.ts': "import './a.ts';" }, [/a\.ts:1: nothing/]);
  });

  test('accepts imports, threads, faces, entries', () => {
    accepts(dead, {
      'platform/src/events/events.ts':
        "import './a.ts'; export { b } from './b.ts'; new URL('./c.ts', import.meta.url);",
      'platform/src/events/a.ts': "import.meta.resolve('./d.ts'); await import('./e.ts');",
      'platform/src/events/b.ts': "import type { X } from 'cardume/events/f';",
      'platform/src/events/c.ts': '',
      'platform/src/events/d.ts': '',
      'platform/src/events/e.ts': '',
      'platform/src/events/f.ts': '',
      'cli/src/cardume.ts': '',
    });
  });
});

describe('names', () => {
  test('refuses long files, vague folders, index.ts, vague classes', () => {
    refuses(names, { 'shop/src/a.ts': '\n'.repeat(600) }, [/a\.ts:600: 601 lines/]);
    refuses(names, { 'shop/src/util/a.ts': '' }, [/folder 'util'/]);
    refuses(names, { 'shop/src/users/index.ts': '' }, [/name the file after its folder/]);
    refuses(names, { 'shop/src/a.ts': '\nexport class OrderManager {}' }, [/a\.ts:2: class OrderManager/]);
  });

  test('accepts nouns', () => {
    accepts(names, { 'shop/src/a.ts': `class Ledger {} // class LedgerManager${'\n'.repeat(599)}` });
  });
});

describe('error codes', () => {
  const sample = { codes: ['lost', 'not-found'], source: "{\n  lost: 1,\n  'not-found': 2,\n}" };

  test('refuses a code that the page lacks, and a page that differs', () => {
    const missing = checkErrors({ ...sample, page: '| `lost` |', generated: '' });
    assert.deepEqual(
      missing.map(({ line }) => line),
      [3],
    );
    assert.match(missing[0]?.message ?? '', /'not-found' .* run/);
    assert.equal(
      checkErrors({ ...sample, page: '| `lost` |\n| `not-found` |', generated: 'other' }).length,
      1,
    );
  });

  test('accepts the generated page', () => {
    const page = '| `lost` |\n| `not-found` |';
    assert.deepEqual(checkErrors({ ...sample, page, generated: page }), []);
  });
});
