/** The HTTP of a hand-written shop, whatever keeps its orders: one route, schemas for input and answer. */
import fastify from 'fastify';

export interface Baseline {
  readonly url: string;
  close(): Promise<void>;
}

/** Products 1 to this, each with more stock than a benchmark can sell. */
export const BASELINE_PRODUCTS = 1_000;
export const BASELINE_STOCK = 1_000_000_000;
export const BASELINE_PRICE_E4 = 25_500;

export interface NewOrder {
  readonly product: number;
  readonly quantity: number;
}

export interface OrderAnswer {
  readonly id: number;
  readonly status: string;
  readonly total_e4: number;
}

/**
 * Durable when it answers.
 * @param key the caller's `Idempotency-Key`
 * @returns null when the product is not there in that quantity
 */
export type PlaceOrder = (
  order: NewOrder,
  key: string | undefined,
) => OrderAnswer | null | Promise<OrderAnswer | null>;

const orderBody = {
  type: 'object',
  required: ['product', 'quantity'],
  additionalProperties: false,
  properties: {
    product: { type: 'integer', minimum: 1 },
    quantity: { type: 'integer', minimum: 1, maximum: 1_000_000 },
  },
} as const;

const orderAnswer = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    status: { type: 'string' },
    total_e4: { type: 'integer' },
  },
} as const;

export async function serveOrders(port: number, place: PlaceOrder): Promise<Baseline> {
  const server = fastify();
  server.post<{ Body: NewOrder }>(
    '/orders',
    { schema: { body: orderBody, response: { 201: orderAnswer } } },
    async ({ body, headers }, reply) => {
      const order = await place(body, headers['idempotency-key'] as string | undefined);
      if (order !== null) return reply.code(201).send(order);
      return reply.code(409).send({ message: `product ${body.product} is not there in that quantity` });
    },
  );
  const url = await server.listen({ port, host: '127.0.0.1' });
  return { url, close: () => server.close() };
}
