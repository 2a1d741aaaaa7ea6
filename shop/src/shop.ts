/** The reference application: users, products, orders. */
import type { Application } from 'cardume/instance/application';
import { operations as orderOperations } from './orders/api.ts';
import { Known } from './orders/known.ts';
import { service as orders } from './orders/orders.ts';
import { type Payments, withTimeouts } from './orders/payment.ts';
import { sandbox } from './orders/sandbox.ts';
import { operations as productOperations } from './products/api.ts';
import { ProductPages } from './products/page.ts';
import { service as products } from './products/products.ts';
import { operations as userOperations } from './users/api.ts';
import { service as users } from './users/users.ts';

const DAY_MS = 86_400_000;

/** @param between what stands between the shop and its provider, for tests: a line that breaks, or is slow */
export const shop = (between: (provider: Payments) => Payments = (provider) => provider): Application => ({
  title: 'Cardume shop',
  version: '0.1.0',
  services: [
    { service: users, operations: userOperations },
    { service: products, operations: productOperations },
    { service: orders, operations: orderOperations },
  ],
  ports({ host, identity, geography, bounds }) {
    const { clock } = host;
    return {
      clock,
      geography,
      passwords: identity.passwords,
      tokens: identity.tokens,
      payments: withTimeouts(between(sandbox(clock, { lateMs: 5_000, paymentsMax: 100_000 })), clock),
      pages: new ProductPages(),
      known: new Known(),
      answersKeptMs: bounds.idempotencyDays * DAY_MS,
    };
  },
});

export const application = shop();
