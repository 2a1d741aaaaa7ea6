/**
 * Money is exact: an amount is a whole number of ten-thousandths (`e4`) of the currency's unit, never binary
 * floating point. At the edges it is a decimal string: `{ amount: '2.55', currency: 'GBP' }`.
 */
import { CardumeError } from './errors.ts';

/** Digits kept behind the point. Four hold every ISO 4217 currency and the unit prices of wholesale. */
export const DECIMALS_MAX = 4;
/** The largest amount of one value: 900 billion, so that e4 stays a safe integer. */
export const AMOUNT_E4_MAX = 9_000_000_000_000_000;

const DECIMAL = /^(\d{1,12})(?:\.(\d{1,4}))?$/;
export const AMOUNT_PATTERN = DECIMAL.source;

const decimalsByCurrency = new Map<string, number>();

/** Digits behind the point by ISO 4217, as Unicode CLDR has them; GBP 2, JPY 0, KWD 3. */
export function currencyDecimals(currency: string): number {
  let decimals = decimalsByCurrency.get(currency);
  if (decimals === undefined) {
    decimals =
      new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ??
      2;
    if (decimalsByCurrency.size < 400) decimalsByCurrency.set(currency, decimals);
  }
  return decimals;
}

/**
 * @param amount decimal text such as `2.55`
 * @param decimals digits that are allowed behind the point; more are refused, not rounded
 * @param path JSON pointer of the field, for the error
 * @returns whole ten-thousandths
 * @throws CardumeError `invalid-input`
 */
export function parseAmount(amount: string, decimals: number, path: string): number {
  const match = DECIMAL.exec(amount);
  const fraction = match?.[2] ?? '';
  if (match === null)
    throw fault(path, `expected a decimal number as text such as "2.55", got "${amount.slice(0, 40)}"`);
  if (fraction.length > decimals) throw fault(path, `expected at most ${decimals} decimals, got "${amount}"`);
  const e4 = Number(match[1] as string) * 10_000 + Number(fraction.padEnd(DECIMALS_MAX, '0'));
  if (e4 > AMOUNT_E4_MAX) throw fault(path, 'expected an amount of at most 900 billion');
  return e4;
}

function fault(path: string, message: string): CardumeError {
  return new CardumeError('invalid-input', `${path}: ${message}`, { faults: [{ path, message }] });
}

/** Decimal text with at least `decimals` digits behind the point, more only where the value has them. */
export function formatAmount(e4: number | bigint, decimals: number): string {
  const negative = e4 < 0;
  const digits = (negative ? -BigInt(e4) : BigInt(e4)).toString().padStart(DECIMALS_MAX + 1, '0');
  const whole = digits.slice(0, -DECIMALS_MAX);
  let fraction = digits.slice(-DECIMALS_MAX);
  while (fraction.length > decimals && fraction.endsWith('0')) fraction = fraction.slice(0, -1);
  return `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}
