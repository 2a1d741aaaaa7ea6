import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { realHost } from 'cardume/host/real';
import { FAILED, WRONG_USE } from '../failure.ts';
import { importRetailCommand } from './import-retail.ts';

const folder = mkdtempSync(join(tmpdir(), 'cardume-import-'));
after(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(
  join(folder, 'orders.csv'),
  'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n1,A,a,1,2010-12-01,1,c1,Spain\n',
);

function shellOf() {
  const printed: string[] = [];
  const complained: string[] = [];
  const shell = {
    host: realHost(),
    folder,
    colour: false,
    print: (text: string) => void printed.push(text),
    complain: (text: string) => void complained.push(text),
    onSignal() {},
    exit: (code: number): never => assert.fail(`exit ${code}`),
    supervision: null,
  };
  return { shell, printed, complained };
}

describe('cardume import retail', () => {
  test('an import that could not be completed fails, and its summary is one JSON document', async () => {
    const authorizations = new Set<string | undefined>();
    const server = createServer((request, response) => {
      authorizations.add(request.headers.authorization);
      response.writeHead(401).end('{"code":"expired-token","detail":"sign in again"}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { shell, printed, complained } = shellOf();
      const api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const options = { file: 'orders.csv', api, token: 'secret', data: 'data', json: true };
      assert.equal(await importRetailCommand(shell, options), FAILED);
      const summary = JSON.parse(printed.join('\n')) as { stopped: string; complete: boolean };
      assert.equal(summary.stopped, 'the platform does not accept the token: sign in again');
      assert.deepEqual([summary.complete, complained, [...authorizations]], [false, [], ['Bearer secret']]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('a missing file and a missing token are wrong use', async () => {
    const { shell } = shellOf();
    const missing = importRetailCommand(shell, { file: 'none.csv', token: 't', data: 'data' });
    await assert.rejects(missing, {
      message: `${join(folder, 'none.csv')} does not exist.`,
      exitCode: WRONG_USE,
    });
    const open = importRetailCommand(shell, { file: 'orders.csv', data: 'no-secrets' });
    await assert.rejects(open, { message: /token of a staff account/, exitCode: WRONG_USE });
  });
});
