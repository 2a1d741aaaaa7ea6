/**
 * Idempotency keys: what a thing of the file is called towards the platform. The same thing has the same key in every
 * run and in every file, so that nothing is placed twice; only stock is counted per file.
 */
import type { Cryptography } from 'cardume/host/cryptography';

/** Keys travel in a header: visible ASCII, and at most 128 characters. */
const nameCharsMax = 64;

export interface Keys {
  customer(id: string): string;
  guests(country: string): string;
  product(sku: string): string;
  stock(sku: string, region: string): string;
  invoice(number: string): string;
}

/** @param importDigest names the file's content, and the part of it that is imported */
export function keysOf(importDigest: string, crypto: Cryptography): Keys {
  const safe = (text: string): string => {
    const encoded = encodeURIComponent(text);
    if (encoded.length <= nameCharsMax) return encoded;
    return `${encoded.slice(0, nameCharsMax - 17)}~${Buffer.from(crypto.sha256(text)).toString('hex').slice(0, 16)}`;
  };
  return {
    customer: (id) => `retail-customer-${safe(id)}`,
    guests: (country) => `retail-guests-${country}`,
    product: (sku) => `retail-product-${safe(sku)}`,
    stock: (sku, region) => `retail-stock-${importDigest}-${safe(sku)}-${region}`,
    invoice: (number) => `retail-invoice-${number}`,
  };
}
