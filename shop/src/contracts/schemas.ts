/** Shapes that more than one service shows at the edge. */
import { AMOUNT_PATTERN, currencyDecimals, formatAmount, parseAmount } from 'cardume/base/money';
import { type Static, Type } from 'typebox';
import { invalid } from './faults.ts';

/** ISO 4217. */
export const Currency = Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217 code, such as GBP' });
/** ISO 3166-1 alpha-2. */
export const CountryCode = Type.String({ pattern: '^[A-Z]{2}$', description: 'ISO 3166 code, such as GB' });
export const Region = Type.String({ minLength: 1, maxLength: 40, description: 'a region of the topology' });
export const Money = Type.Object({
  amount: Type.String({ pattern: AMOUNT_PATTERN, description: 'exact decimal, such as 2.55' }),
  currency: Currency,
});
export type Money = Static<typeof Money>;

export const Id = Type.String({ maxLength: 40 });
/** An id that a body names. @param type its three letters */
export const idOf = (type: string) => Type.String({ pattern: `^${type}_[0-9a-z]{3}_[0-9a-z]{26}$` });
/** Of things in paths: what is no id is answered as what does not exist. */
export const ById = Type.Object({ id: Type.String({ maxLength: 80 }) });
export const Moment = Type.String({ format: 'date-time', description: 'RFC 3339, UTC' });
/** Ten-thousandths of the currency's unit. */
export const AmountE4 = Type.Integer({ minimum: 0 });
export const Milliseconds = Type.Integer({ minimum: 0, description: 'since 1970' });
/** Of one order line. */
export const Quantity = Type.Integer({ minimum: 1, maximum: 1_000_000 });
/** Of a receipt or a transfer; of an order too, whose lines may repeat a product. */
export const StockQuantity = Type.Integer({ minimum: 1, maximum: 1_000_000_000 });

export const pageLimit = Type.Integer({ minimum: 1, maximum: 1_000, default: 50 });
export const pageAfter = Type.Optional(
  Type.String({ maxLength: 2_000, description: '`next` of the page before' }),
);
export const Next = Type.Union([Type.String(), Type.Null()], { description: 'null on the last page' });

export function money(amountE4: number | bigint, currency: string): Money {
  return { amount: formatAmount(amountE4, currencyDecimals(currency)), currency };
}

/**
 * @param decimalsMax how many decimals are allowed where the currency has fewer
 * @param path JSON pointer of the money
 * @throws CardumeError `invalid-input`
 */
export function amountE4({ amount, currency }: Money, path: string, decimalsMax = 0): number {
  return parseAmount(amount, Math.max(decimalsMax, currencyDecimals(currency)), `${path}/amount`);
}

export function moment(atMs: number): string {
  return new Date(atMs).toISOString();
}

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

/** @throws CardumeError `invalid-input` */
export function parseMoment(text: string, path: string): number {
  const atMs = RFC_3339.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs))
    throw invalid(path, `expected a time such as 2026-01-31T12:00:00Z, got "${text.slice(0, 40)}"`);
  return atMs;
}
