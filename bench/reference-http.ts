/**
 * What our HTTP is measured against: Fastify with nothing around it, and `@fastify/http-proxy` in front of it.
 *
 *   node bench/reference-http.ts bare JSON        answers GET /products/:id with the text
 *   node bench/reference-http.ts proxy URL        hands every request to the URL
 *
 * Prints its URL when it listens.
 */
import httpProxy from '@fastify/http-proxy';
import fastify from 'fastify';

const [kind, argument] = process.argv.slice(2);
const app = fastify();
if (kind === 'bare' && argument !== undefined) {
  app.get('/products/:id', async (_request, reply) => {
    reply.header('content-type', 'application/json');
    return argument;
  });
} else if (kind === 'proxy' && argument !== undefined) {
  await app.register(httpProxy, { upstream: argument });
} else throw new Error('usage: node bench/reference-http.ts bare JSON | proxy URL');

process.once('SIGTERM', () => process.exit());
process.stdout.write(`${await app.listen({ host: '127.0.0.1', port: 0 })}\n`);
