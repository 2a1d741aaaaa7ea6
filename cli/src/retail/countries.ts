/**
 * Country names as the data set writes them → ISO 3166-1 alpha-2, which decides a customer's region. Orders keep the
 * file's own text. A two-letter code stands for itself; what is no country ('Unspecified') or is not listed counts
 * as the shop's own country, and an unlisted name is reported.
 */
const HOME = 'GB';

const CODES: Readonly<Record<string, string>> = {
  Argentina: 'AR',
  Australia: 'AU',
  Austria: 'AT',
  Bahrain: 'BH',
  Belgium: 'BE',
  Bermuda: 'BM',
  Brazil: 'BR',
  Bulgaria: 'BG',
  Canada: 'CA',
  'Channel Islands': 'JE',
  China: 'CN',
  Croatia: 'HR',
  Cyprus: 'CY',
  'Czech Republic': 'CZ',
  Denmark: 'DK',
  EIRE: 'IE',
  Estonia: 'EE',
  'European Community': HOME,
  Finland: 'FI',
  France: 'FR',
  Germany: 'DE',
  Greece: 'GR',
  'Hong Kong': 'HK',
  Hungary: 'HU',
  Iceland: 'IS',
  India: 'IN',
  Ireland: 'IE',
  Israel: 'IL',
  Italy: 'IT',
  Japan: 'JP',
  Korea: 'KR',
  Latvia: 'LV',
  Lebanon: 'LB',
  Lithuania: 'LT',
  Luxembourg: 'LU',
  Malta: 'MT',
  Mexico: 'MX',
  Netherlands: 'NL',
  'New Zealand': 'NZ',
  Nigeria: 'NG',
  Norway: 'NO',
  Poland: 'PL',
  Portugal: 'PT',
  Romania: 'RO',
  RSA: 'ZA',
  'Saudi Arabia': 'SA',
  Singapore: 'SG',
  Slovakia: 'SK',
  Slovenia: 'SI',
  'South Africa': 'ZA',
  Spain: 'ES',
  Sweden: 'SE',
  Switzerland: 'CH',
  Thailand: 'TH',
  'United Arab Emirates': 'AE',
  'United Kingdom': 'GB',
  'United States': 'US',
  Unspecified: HOME,
  USA: 'US',
  'West Indies': 'BB',
};

export function isKnownCountry(name: string): boolean {
  return Object.hasOwn(CODES, name) || /^[A-Z]{2}$/.test(name);
}

export function isoCountry(name: string): string {
  if (Object.hasOwn(CODES, name)) return CODES[name] as string;
  return /^[A-Z]{2}$/.test(name) ? name : HOME;
}
