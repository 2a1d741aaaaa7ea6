/**
 * What a shard's read models hold of one partition, as a few bytes: two copies that were folded up to the same position
 * have the same digest, whichever engine keeps them and in whatever order it reads.
 */

import type { Cryptography } from '../host/cryptography.ts';
import type { SqlRow, SqlValue } from '../host/disk.ts';
import type { Dialect } from '../sharding/dialect.ts';
import { cellValue } from '../sharding/sql-reader.ts';
import { PARTITION_COLUMN, type Table, type Value } from '../sharding/table.ts';
import { encodeValue } from '../sharding/wire.ts';
import type { Build } from './builds.ts';

export interface Digest {
  /** Up to which its rows were folded. */
  readonly position: number;
  /** Of the tables that follow: those of a projection that has halted, or is being built, are left out. */
  readonly tables: Readonly<Record<string, TableDigest>>;
}

export interface TableDigest {
  readonly rows: number;
  /** Hexadecimal, 16 bytes: SHA-256 of each row, cut, added up bit by bit. */
  readonly hash: string;
}

/** What a digest is of. Structured-cloneable. */
export interface Digested {
  readonly partition: number;
  readonly builds: readonly Build[];
}

const HASH_BYTES = 16;
export const PAGE_ROWS = 2_000;

/** @returns tables whose digests differ, or that one has and the other lacks */
export function differences(a: Digest, b: Digest): string[] {
  const names = new Set([...Object.keys(a.tables), ...Object.keys(b.tables)]);
  return [...names].filter((name) => {
    const [left, right] = [a.tables[name], b.tables[name]];
    return left?.rows !== right?.rows || left?.hash !== right?.hash;
  });
}

/** The statement of one page: the partition's rows behind a key. */
export function pageOf(
  { quoted, behind }: Dialect,
  table: Table,
  partition: number,
  after: readonly SqlValue[] | null,
): { readonly text: string; readonly values: SqlValue[] } {
  const columns = Object.keys(table.columns).map(quoted).join(', ');
  const seek = after === null ? null : behind(table.key, false, after as readonly Value[]);
  const text = `SELECT ${columns} FROM ${quoted(table.name)} WHERE ${quoted(PARTITION_COLUMN)} = ?
    ${seek === null ? '' : `AND ${seek.text}`} ORDER BY ${table.key.map(quoted).join(', ')} LIMIT ?`;
  return { text, values: [partition, ...((seek?.values ?? []) as SqlValue[])] };
}

export function tableDigest(
  { sha256 }: Pick<Cryptography, 'sha256'>,
  { columns }: Table,
): { add(row: SqlRow): void; done(): TableDigest } {
  const names = Object.keys(columns);
  const hash = Buffer.alloc(HASH_BYTES);
  let rows = 0;
  return {
    add(row) {
      const cells = names.map((name) => encodeValue(cellValue(row[name] as Value | Uint8Array)));
      const digest = sha256(JSON.stringify(cells));
      for (let i = 0; i < HASH_BYTES; i += 1) hash[i] = (hash[i] as number) ^ (digest[i] as number);
      rows += 1;
    },
    done: () => ({ rows, hash: hash.toString('hex') }),
  };
}
