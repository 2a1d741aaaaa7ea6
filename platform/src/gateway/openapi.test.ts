import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { errors } from '../base/errors.ts';
import { docsPage, problemAnchor } from './docs-page.ts';
import { sampleOperations } from './gateway.fixture.ts';
import { openApiDocument } from './openapi.ts';
import { routesOf } from './route.ts';

const routes = routesOf([{ name: 'sample', operations: sampleOperations().operations }]);
const document = openApiDocument({ title: 'A <Shop>', version: '1.2.3' }, routes);
const text = JSON.stringify(document);

describe('the document', () => {
  test('is OpenAPI 3.1 with every operation under its path and method', () => {
    assert.match(document.openapi, /^3\.1\.\d$/);
    assert.deepEqual(document.info.version, '1.2.3');
    for (const { operation, service } of routes) {
      const found = document.paths[operation.path]?.[operation.method.toLowerCase()];
      assert.equal(found?.operationId, operation.id);
      assert.deepEqual(found?.tags, [service]);
      for (const status of Object.keys(operation.replies)) assert.ok(found?.responses[status], status);
    }
  });

  test('names every path parameter, required, and no other', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      for (const operation of Object.values(methods)) {
        const given = operation.parameters.filter((parameter) => parameter.in === 'path');
        assert.deepEqual(
          given.map((parameter) => parameter.name),
          names,
        );
        assert.ok(given.every((parameter) => parameter.required));
      }
    }
  });

  test('every reference leads somewhere', () => {
    const references = [...text.matchAll(/"\$ref":"#([^"]+)"/g)].map((match) => match[1] as string);
    assert.ok(references.length > 10);
    for (const reference of references) {
      let at: unknown = document;
      for (const step of reference.split('/').slice(1))
        at = (at as Record<string, unknown> | undefined)?.[step];
      assert.notEqual(at, undefined, reference);
    }
  });

  test('operation ids are unique, and tags are declared', () => {
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    assert.equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length);
    const tags = new Set(document.tags.map(({ name }) => name));
    assert.ok(operations.every((operation) => operation.tags.every((tag) => tags.has(tag))));
  });

  test('says who may, what a write takes, and what closed bodies refuse', () => {
    const order = document.paths['/orders']?.['post'];
    assert.deepEqual(order?.security, [{ bearer: [] }]);
    assert.deepEqual(document.paths['/products/{id}']?.['get']?.security, [{}, { bearer: [] }]);
    assert.deepEqual(
      order?.parameters.map(({ name }) => name),
      ['Idempotency-Key'],
    );
    const cancel = document.paths['/orders/{id}']?.['delete'];
    assert.deepEqual(
      cancel?.parameters.map(({ name }) => name),
      ['id', 'If-Match'],
    );
    const schema = order?.requestBody?.content['application/json']?.schema;
    assert.equal(schema?.['additionalProperties'], false);
    assert.deepEqual(schema?.['required'], ['currency', 'lines']);
    const limit = document.paths['/products']?.['get']?.parameters.find(({ name }) => name === 'limit');
    assert.deepEqual([limit?.required, limit?.schema['default']], [false, 20]);
  });

  test('failures are problem documents, whose codes are those of the table', () => {
    const order = document.paths['/orders']?.['post'];
    for (const status of ['400', '401', '413', '415', '422', '429', '500', '503']) {
      assert.ok(order?.responses[status]?.content?.['application/problem+json'], status);
    }
    const problem = document.components['schemas']?.['Problem'] as {
      properties: { code: { enum: string[] } };
    };
    assert.deepEqual(problem.properties.code.enum, Object.keys(errors));
  });
});

describe('the page', () => {
  const page = docsPage(document);

  test('shows every operation with an anchor, its fields and an example', () => {
    for (const { operation } of routes) {
      assert.ok(page.includes(`<article id="${operation.id}">`), operation.id);
      assert.ok(page.includes(`href="#${operation.id}"`), operation.id);
    }
    assert.ok(page.includes('<code>lines[].quantity</code>'));
    assert.ok(page.includes('whole number from 1 to 99'));
    assert.ok(page.includes('curl -X POST &quot;$API/orders&quot;'));
    assert.ok(page.includes('{&quot;currency&quot;:&quot;GBP&quot;'));
  });

  test('has a row for every failure, where problem documents lead', () => {
    for (const code of Object.keys(errors))
      assert.ok(page.includes(`<tr id="${problemAnchor(code)}">`), code);
  });

  test('loads nothing, runs nothing, and escapes what it is given', () => {
    assert.doesNotMatch(page, /<script|<link|<img|@import|url\(|https?:\/\//i);
    assert.ok(page.includes('A &lt;Shop&gt; API'));
    assert.ok(!page.includes('<Shop>'));
  });

  test('opens and closes its elements', () => {
    for (const element of [
      'article',
      'table',
      'tr',
      'td',
      'details',
      'ul',
      'li',
      'a',
      'main',
      'nav',
      'h3',
      'pre',
    ]) {
      const opened = page.match(new RegExp(`<${element}(?=[ >])`, 'g'))?.length;
      assert.equal(page.match(new RegExp(`</${element}>`, 'g'))?.length, opened, element);
    }
  });
});
