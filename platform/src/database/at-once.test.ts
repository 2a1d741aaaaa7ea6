/** Many processes bring one file to a schema. This file is also the other processes: with a path it does so once. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { realHost } from '../host/real.ts';
import type { Schema } from './schema.ts';
import { checkSchema, foundIn, migrate } from './sqlite/migrate.ts';

const { disk } = realHost();
const PROCESSES = 8;
/** Were a step carried out twice, it would fail: the table is there. */
const SCHEMA: Schema = {
  of: 'test',
  table: 'versions',
  row: 'test',
  sign: 'one',
  released: 0,
  steps: ['one', 'two', 'three'].map((name) => ({
    what: name,
    statements: [`CREATE TABLE ${name} (id INTEGER PRIMARY KEY)`],
  })),
};

async function migrated(path: string): Promise<void> {
  const child = spawn(process.execPath, [import.meta.filename, path], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    said += text.toString();
  });
  const [code] = (await once(child, 'close')) as [number];
  assert.equal(code, 0, said);
}

function together(): void {
  test('many processes at once bring a new file to the schema: each step is carried out once', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cardume-at-once-'));
    const path = join(folder, 'new.db');
    try {
      await Promise.all(Array.from({ length: PROCESSES }, () => migrated(path)));
      const database = disk.database(path, { readOnly: true });
      checkSchema(database, path, SCHEMA);
      assert.equal(foundIn(database, SCHEMA).expanded, SCHEMA.steps.length);
      database.close();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

function alone(path: string): void {
  const database = disk.database(path, { busyTimeoutMs: 20_000 });
  migrate(database, path, SCHEMA);
  database.close();
}

const [given] = process.argv.slice(2);
if (given === undefined) together();
else alone(given);
