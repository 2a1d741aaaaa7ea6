/**
 * The API's page for people: one HTML document, rendered once from the OpenAPI document. No script and no foreign
 * file, so that it works offline and under a policy that forbids everything but its own style.
 */
import { errors } from '../base/errors.ts';
import type { ApiDocument, ApiOperation, ApiResponse, JsonSchema } from './openapi.ts';
import { expectation } from './validation.ts';

export function docsPage(document: ApiDocument): string {
  const sections = document.tags.map(({ name }) => ({ name, entries: entriesOf(document, name) }));
  const { title, version, description } = document.info;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${html(title)} API</title>
<style>${STYLE}</style>
<body>
<nav aria-label="Operations">
<p class="brand"><a href="#top">${html(title)}</a> <span>${html(version)}</span></p>
${sections.map(({ name, entries }) => menu(name, entries)).join('\n')}
<h3><a href="#failures">Failures</a></h3>
</nav>
<main id="top">
<h1>${html(title)} API</h1>
<p class="lead">${prose(description)}</p>
<p>The same as data: <a href="/openapi.json">openapi.json</a> (OpenAPI ${html(document.openapi)}).</p>
${sections.map(({ name, entries }) => `<h2 id="${html(name)}">${html(name)}</h2>\n${entries.map(article).join('\n')}`).join('\n')}
<h2 id="failures">Failures</h2>
${failures()}
</main>
</body>
</html>
`;
}

/** Where the `type` of a problem document leads: `/problems/<code>` is forwarded to the code's row. */
export function problemAnchor(code: string): string {
  return `problem-${code}`;
}

function failures(): string {
  const rows = Object.entries(errors).map(
    ([code, { status, title, retryable, help }]) =>
      `<tr id="${problemAnchor(code)}"><td><code>${code}</code> <small>${status}</small></td>` +
      `<td>${prose(title)}.${retryable ? ' <small>may succeed when sent again</small>' : ''}<br>${prose(help)}</td></tr>`,
  );
  return table(rows);
}

interface Entry {
  readonly method: string;
  readonly path: string;
  readonly operation: ApiOperation;
}

function entriesOf(document: ApiDocument, tag: string): Entry[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation.tags.includes(tag))
      .map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

function menu(name: string, entries: readonly Entry[]): string {
  const items = entries.map(
    ({ method, operation }) =>
      `<li><a href="#${html(operation.operationId)}">${badge(method)} ${html(operation.summary)}</a></li>`,
  );
  return `<h3><a href="#${html(name)}">${html(name)}</a></h3>\n<ul>${items.join('')}</ul>`;
}

function badge(method: string): string {
  return `<b class="method ${method.toLowerCase()}">${method}</b>`;
}

function article({ method, path, operation }: Entry): string {
  const body = operation.requestBody?.content['application/json']?.schema;
  const needsToken = operation.security.every((way) => 'bearer' in way);
  return `<article id="${html(operation.operationId)}">
<h3>${badge(method)} <code>${html(path).replaceAll(/\{(\w+)\}/g, '<i>{$1}</i>')}</code></h3>
<p>${prose(operation.summary)}.${needsToken ? ' <span class="lock">needs a token</span>' : ''}</p>
${operation.description === undefined ? '' : `<p>${prose(operation.description)}</p>`}
${parameterTable(operation)}
${body === undefined ? '' : `<h4>Body</h4>\n${schemaTable(body)}`}
<h4>Answers</h4>
${Object.entries(operation.responses).map(answer).join('\n')}
<h4>Example</h4>
<pre tabindex="0">${html(curl(method, path, operation, needsToken))}</pre>
</article>`;
}

function parameterTable(operation: ApiOperation): string {
  if (operation.parameters.length === 0) return '';
  const rows = operation.parameters.map(({ name, in: where, required, description, schema }) =>
    row(`<code>${html(name)}</code> <small>${where}</small>`, schema, required, description),
  );
  return `<h4>Parameters</h4>\n${table(rows)}`;
}

function schemaTable(schema: JsonSchema): string {
  const rows = rowsOf(schema, '', 0);
  return rows.length === 0 ? `<p>${html(sentence(expectation(schema)))}.</p>` : table(rows);
}

const DEPTH_SHOWN_MAX = 5;

/** One row a field, nested ones under their path: `lines[].quantity`. */
function rowsOf(schema: JsonSchema, prefix: string, depth: number): string[] {
  if (depth > DEPTH_SHOWN_MAX) return [];
  if (schema['type'] === 'array')
    return rowsOf((schema['items'] ?? {}) as JsonSchema, `${prefix}[]`, depth + 1);
  for (const union of ['anyOf', 'oneOf', 'allOf']) {
    const branches = schema[union] as JsonSchema[] | undefined;
    if (branches !== undefined)
      return [...new Set(branches.flatMap((branch) => rowsOf(branch, prefix, depth + 1)))];
  }
  const required = (schema['required'] ?? []) as string[];
  return Object.entries((schema['properties'] ?? {}) as Record<string, JsonSchema>).flatMap(
    ([name, property]) => {
      const path = prefix === '' ? name : `${prefix}.${name}`;
      const own = row(
        `<code>${html(path)}</code>`,
        property,
        required.includes(name),
        textOf(property['description']),
      );
      return [own, ...rowsOf(property, path, depth + 1)];
    },
  );
}

function row(name: string, schema: JsonSchema, required: boolean, description: string | undefined): string {
  const preset =
    schema['default'] === undefined ? '' : ` <small>else ${html(JSON.stringify(schema['default']))}</small>`;
  const need = required ? '' : ' <small>optional</small>';
  const told = description === undefined ? '' : `<br>${prose(description)}`;
  return `<tr><td>${name}${need}</td><td>${html(sentence(expectation(schema)))}${preset}${told}</td></tr>`;
}

function table(rows: readonly string[]): string {
  return `<div class="wide"><table>${rows.join('')}</table></div>`;
}

function answer([status, response]: [string, ApiResponse]): string {
  const content = Object.values(response.content ?? {})[0]?.schema;
  const isOurs = content !== undefined && content['$ref'] === undefined;
  const head = `<b class="status s${status[0]}">${html(status)}</b> ${prose(response.description)}`;
  if (!isOurs) return `<p class="answer">${head}</p>`;
  return `<details><summary>${head}</summary>${schemaTable(content)}</details>`;
}

function curl(method: string, path: string, operation: ApiOperation, needsToken: boolean): string {
  const url = path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => `$${name.toUpperCase()}`);
  const lines = [`curl ${method === 'GET' ? '' : `-X ${method} `}"$API${url}"`];
  if (needsToken) lines.push('-H "Authorization: Bearer $TOKEN"');
  if (operation.parameters.some((parameter) => parameter.name === 'Idempotency-Key')) {
    lines.push('-H "Idempotency-Key: $(uuidgen)"');
  }
  const schema = operation.requestBody?.content['application/json']?.schema;
  if (schema !== undefined) {
    lines.push("-H 'Content-Type: application/json'");
    lines.push(`-d '${JSON.stringify(exampleOf(schema, 0)).replaceAll("'", "'\\''")}'`);
  }
  return lines.join(' \\\n  ');
}

/** A value of the schema's shape; optional fields are left out. */
function exampleOf(schema: JsonSchema, depth: number): unknown {
  const given = (schema['examples'] as unknown[] | undefined)?.[0] ?? schema['default'] ?? schema['const'];
  if (given !== undefined) return given;
  const options = schema['enum'] as unknown[] | undefined;
  if (options !== undefined) return options[0];
  if (depth > DEPTH_SHOWN_MAX) return null;
  const branch = ((schema['anyOf'] ?? schema['oneOf']) as JsonSchema[] | undefined)?.[0];
  if (branch !== undefined) return exampleOf(branch, depth + 1);
  switch (schema['type']) {
    case 'object': {
      const properties = (schema['properties'] ?? {}) as Record<string, JsonSchema>;
      const required = (schema['required'] ?? []) as string[];
      return Object.fromEntries(required.map((name) => [name, exampleOf(properties[name] ?? {}, depth + 1)]));
    }
    case 'array':
      return [exampleOf((schema['items'] ?? {}) as JsonSchema, depth + 1)];
    case 'integer':
    case 'number':
      return schema['minimum'] ?? 1;
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return schema['format'] === 'email' ? 'ana@example.com' : '…';
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function sentence(text: string): string {
  return text.replace(/^an? /, '');
}

function html(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** Escaped text in which `code` is set as such. */
function prose(text: string): string {
  return html(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1b2530;--soft:#5b6875;--line:#dfe5ea;--paper:#fff;--wash:#f5f8fa;--sea:#0b6e8f;
--green:#1a7f4b;--amber:#9a6700;--red:#b3261e;--violet:#6a3fb5}
@media(prefers-color-scheme:dark){:root{--ink:#e3e9ee;--soft:#9aa8b4;--line:#2c3843;--paper:#12181e;--wash:#1a222a;
--sea:#58b9d8;--green:#5cc98d;--amber:#e0b04a;--red:#f2867f;--violet:#b79af0}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:1rem}
@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;display:grid;grid-template-columns:17rem minmax(0,1fr);color:var(--ink);background:var(--paper);
font:16px/1.55 system-ui,sans-serif}
a{color:var(--sea);text-decoration:none}a:hover{text-decoration:underline}
a:focus-visible,summary:focus-visible,pre:focus-visible{outline:2px solid var(--sea);outline-offset:2px;border-radius:4px}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1.25rem 1rem;background:var(--wash);
border-right:1px solid var(--line);font-size:.875rem}
nav ul{list-style:none;margin:0;padding:0}nav li a{display:block;padding:.3rem .4rem;border-radius:6px;color:var(--ink)}
nav li a:hover{background:var(--line);text-decoration:none}nav h3{margin:1.25rem 0 .25rem;text-transform:capitalize}
.brand{margin:0;font-weight:700;font-size:1.05rem}.brand span{font-weight:400;color:var(--soft);font-size:.8rem}
main{max-width:56rem;width:100%;padding:2rem clamp(1rem,4vw,3rem) 6rem}
h1{margin:0 0 .5rem;font-size:2rem;letter-spacing:-.02em}h2{margin:3rem 0 1rem;text-transform:capitalize}
h4{margin:1.5rem 0 .4rem;font-size:.8rem;color:var(--soft);text-transform:uppercase;letter-spacing:.06em}
.lead{color:var(--soft)}small{color:var(--soft)}
article{border:1px solid var(--line);border-radius:12px;padding:1.1rem 1.4rem 1.4rem;margin:0 0 1.5rem}
article:target{border-color:var(--sea)}article h3{margin:0;font-size:1.05rem;overflow-wrap:anywhere}
article h3 i{color:var(--sea);font-style:normal}
code,pre{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,monospace}
pre{margin:0;padding:.9rem 1rem;overflow:auto;background:var(--wash);border:1px solid var(--line);border-radius:8px}
.method{display:inline-block;min-width:3.6rem;font:700 .7rem/1.7 ui-monospace,Menlo,monospace;text-align:center;
border:1px solid currentColor;border-radius:5px;color:var(--sea)}
nav .method{min-width:3.2rem}.post{color:var(--green)}.patch,.put{color:var(--amber)}.delete{color:var(--red)}
.lock{font-size:.8rem;color:var(--violet);border:1px solid currentColor;border-radius:99px;padding:0 .5rem;white-space:nowrap}
.wide{overflow-x:auto}table{width:100%;border-collapse:collapse;font-size:.9rem}
td{padding:.45rem .75rem .45rem 0;border-top:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
td:first-child{width:36%;min-width:10rem}
details,.answer{margin:.35rem 0;font-size:.9rem}summary{cursor:pointer}details .wide{padding:.25rem 0 .5rem 1.1rem}
.status{display:inline-block;min-width:2.2rem;color:var(--green)}.s4{color:var(--amber)}.s5{color:var(--red)}
@media(max-width:52rem){body{display:block}nav{position:static;height:auto;max-height:45vh;border-right:0;
border-bottom:1px solid var(--line)}article{padding:1rem}}
`.replaceAll('\n', '');
