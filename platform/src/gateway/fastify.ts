/** Fastify as the rim wants it: a router and a body reader with bounds, which leaves answers and errors to us. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { CardumeError } from '../base/errors.ts';
import type { Bounds } from '../topology/topology.ts';
import { parseJsonBody } from './json-body.ts';

const HEADER_BYTES_MAX = 16_384;
const PARAM_CHARS_MAX = 256;
const CONNECTIONS_MAX = 16_384;
/** Longer than the idle time of common load balancers (60 s), so that they close first. */
const KEEP_ALIVE_MS = 65_000;

/**
 * @param fail answers what fails between the router and a handler
 * @param refuseSocket answers what is no request
 */
export function openFastify(
  bounds: Pick<Bounds, 'bodyBytesMax' | 'requestTimeoutMs'>,
  fail: (error: unknown, request: FastifyRequest, reply: FastifyReply) => void,
  refuseSocket: (error: Error, socket: Socket) => void,
): FastifyInstance {
  const app = Fastify({
    logger: false,
    bodyLimit: bounds.bodyBytesMax,
    requestTimeout: bounds.requestTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
    exposeHeadRoutes: false,
    return503OnClosing: false,
    genReqId: () => '', // the pipeline names requests
    http: {
      maxHeaderSize: HEADER_BYTES_MAX,
      requireHostHeader: false, // Node's own refusal is no problem document: see `beforePipeline`
      headersTimeout: bounds.requestTimeoutMs,
      connectionsCheckingInterval: Math.max(50, Math.min(1000, bounds.requestTimeoutMs / 4)),
    },
    clientErrorHandler: refuseSocket,
    frameworkErrors: (error, request, reply) => fail(error, request, reply),
  });
  (app.server as Server).maxConnections = CONNECTIONS_MAX;

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      if (request.headers['content-encoding'] !== undefined) {
        throw new CardumeError('unsupported-media-type', 'expected a body without Content-Encoding');
      }
      done(null, parseJsonBody(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
  app.setErrorHandler(fail);
  return app;
}
