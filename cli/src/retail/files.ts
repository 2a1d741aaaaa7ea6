/**
 * The rim to the disk: the import streams files of any size and appends to its journal, which the host's disk (whole
 * files, SQLite) does not offer. Nothing here knows what is in the files.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, open, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { finished } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { CardumeError } from 'cardume/base/errors';

export interface SourceFile {
  readonly path: string;
  /** On the disk, that is, compressed. */
  readonly bytes: number;
  /** The content from its start, unpacked. `onBytes` hears how much of the disk's bytes was read since. */
  chunks(onBytes?: (count: number) => void): AsyncGenerator<Uint8Array>;
}

/** Plain or gzip, told by its first bytes. @throws CardumeError `not-found` */
export async function openSource(path: string): Promise<SourceFile> {
  const { bytes, isGzip } = await inspect(path);
  return {
    path,
    bytes,
    async *chunks(onBytes) {
      const raw = createReadStream(path, { highWaterMark: 65_536 });
      if (onBytes !== undefined) raw.on('data', (chunk) => onBytes(chunk.length));
      if (!isGzip) {
        yield* raw as AsyncIterable<Uint8Array>;
        return;
      }
      const unpacked = createGunzip({ chunkSize: 65_536 });
      raw.on('error', (error) => unpacked.destroy(error));
      try {
        yield* raw.pipe(unpacked) as AsyncIterable<Uint8Array>;
      } catch (error) {
        if (!/^Z_/.test(codeOf(error) ?? '')) throw error;
        const detail = `${path} is cut off or damaged: ${(error as Error).message}`;
        throw new CardumeError('invalid-input', detail, { cause: error });
      } finally {
        raw.destroy();
        unpacked.destroy();
      }
    },
  };
}

async function inspect(path: string): Promise<{ bytes: number; isGzip: boolean }> {
  try {
    const { size } = await stat(path);
    const file = await open(path, 'r');
    try {
      const { buffer } = await file.read(new Uint8Array(2), 0, 2, 0);
      return { bytes: size, isGzip: buffer[0] === 0x1f && buffer[1] === 0x8b };
    } finally {
      await file.close();
    }
  } catch (error) {
    const why = { ENOENT: 'does not exist', EISDIR: 'is a folder', EACCES: 'may not be read' }[
      codeOf(error) ?? ''
    ];
    if (why === undefined) throw error;
    throw new CardumeError('not-found', `${path} ${why}`, { cause: error });
  }
}

/** SHA-256 over what goes through, as hexadecimal text once all of it has. */
export function digesting(chunks: AsyncIterable<Uint8Array>): {
  readonly chunks: AsyncGenerator<Uint8Array>;
  digest(): string;
} {
  const hash = createHash('sha256');
  return {
    chunks: (async function* () {
      for await (const chunk of chunks) {
        hash.update(chunk);
        yield chunk;
      }
    })(),
    digest: () => hash.digest('hex'),
  };
}

/** Text that grows line by line. */
export interface Sink {
  write(line: string): void;
  /** All lines are on the disk. @throws what the disk reported for any of them */
  close(): Promise<void>;
}

/** Makes the folder and the file; `append` keeps what stands there, and begins on a fresh line. */
export async function openSink(path: string, mode: 'append' | 'replace'): Promise<Sink> {
  await mkdir(dirname(path), { recursive: true });
  const torn = mode === 'append' && (await endsTorn(path));
  const stream: WriteStream = createWriteStream(path, { flags: mode === 'append' ? 'a' : 'w', flush: true });
  let failure: Error | undefined;
  stream.on('error', (error) => {
    failure ??= error;
  });
  if (torn) stream.write('\n');
  return {
    write(line) {
      if (failure !== undefined) throw failure;
      stream.write(`${line}\n`);
    },
    async close() {
      stream.end();
      await finished(stream);
    },
  };
}

async function endsTorn(path: string): Promise<boolean> {
  const text = await readText(path);
  return text !== null && text !== '' && !text.endsWith('\n');
}

export async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
