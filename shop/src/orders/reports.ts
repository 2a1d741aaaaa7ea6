/** Reports over all regions. Sums are exact: integers in the shards, bigints where they meet. */
import { currencyDecimals, formatAmount } from 'cardume/base/money';
import type { Bus } from 'cardume/cqrs/bus';
import { operation } from 'cardume/gateway/operation';
import { Type } from 'typebox';
import { Currency } from '../contracts/schemas.ts';
import { Country } from './order.ts';

const Decimal = Type.String({ description: 'exact, with at least the currency’s decimals' });
const Count = Type.Integer({ minimum: 0 });

interface Revenue {
  readonly country: string;
  readonly currency: string;
  readonly revenueE4: bigint;
  readonly orders: number;
}

export const revenue = operation({
  id: 'orders.revenue',
  method: 'GET',
  path: '/orders/reports/revenue',
  summary: 'Revenue of confirmed orders, all regions',
  access: 'staff',
  search: Type.Object({ by: Type.Enum(['country'], { default: 'country' }) }),
  replies: {
    200: Type.Object({
      rows: Type.Array(
        Type.Object({ country: Country, currency: Currency, revenue: Decimal, orders: Count }),
      ),
      /** One row a currency. */
      total: Type.Array(Type.Object({ currency: Currency, revenue: Decimal, orders: Count })),
    }),
  },
  async handle(_input, { bus }) {
    const rows = await revenueByCountry(bus);
    const total = Object.values(Object.groupBy(rows, (row) => row.currency)).map((same = []) => ({
      currency: (same[0] as Revenue).currency,
      revenueE4: same.reduce((sum, row) => sum + row.revenueE4, 0n),
      orders: same.reduce((sum, row) => sum + row.orders, 0),
    }));
    return { status: 200, body: { rows: rows.map(shown), total: total.map(shown) } };
  },
});

async function revenueByCountry(bus: Bus): Promise<Revenue[]> {
  const found: Revenue[] = [];
  let after: string | null = null;
  do {
    const page: Awaited<ReturnType<Bus['query']>> = await bus.query({
      service: 'orders',
      table: 'orders',
      where: [{ column: 'status', op: '=', value: 'confirmed' }],
      aggregate: {
        groupBy: ['country', 'currency'],
        columns: { revenue_e4: { sum: 'total_e4' }, orders: { count: '*' } },
      },
      orderBy: [{ column: 'revenue_e4', direction: 'descending' }],
      limit: 1_000,
      ...(after === null ? {} : { after }),
    });
    for (const { country, currency, revenue_e4, orders } of page.rows) {
      found.push({
        country: country as string,
        currency: currency as string,
        revenueE4: BigInt(revenue_e4 as bigint),
        orders: Number(orders),
      });
    }
    after = page.next;
  } while (after !== null);
  return found;
}

function shown<Row extends Pick<Revenue, 'currency' | 'revenueE4'>>({ revenueE4, ...row }: Row) {
  return { ...row, revenue: formatAmount(revenueE4, currencyDecimals(row.currency)) };
}
