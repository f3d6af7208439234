import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Busboy, type BusboyInstance } from '@fastify/busboy';
import {
  bodyNotDecompressed,
  IsletError,
  invalidMetadata,
  pathUploadedTwice,
  unreadableForm,
  unsupportedContentEncoding,
  unsupportedContentType,
  uploadPathMissing,
} from '@islet/contracts';
import { metadataDefect } from '../filesystem/metadata.ts';
import { feed } from './feed.ts';
import { type WriteOptions, type WrittenFile, writeFile } from './write-file.ts';

const METADATA_HEADER = 'x-metadata-';
/** Name of the form fields that are files. */
const FILE_FIELD = 'file';

export interface UploadOptions extends Omit<WriteOptions, 'metadata'> {
  /** The query's path as it came, absent if parts name their own. */
  path: string | undefined;
  resolve: (path: string) => string;
}

/** Writes what a request carries. @throws IsletError */
export async function receiveFiles(request: IncomingMessage, options: UploadOptions): Promise<WrittenFile[]> {
  const metadata = metadataOf(request.rawHeaders);
  const defect = metadataDefect(metadata);
  if (defect) throw invalidMetadata(defect);
  const write = { account: options.account, attributes: options.attributes, metadata };
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/octet-stream') {
    if (!options.path) throw uploadPathMissing();
    const path = options.resolve(options.path);
    return await withBody(request, async (body) => [await writeFile(path, body, write)]);
  }
  if (type.startsWith('multipart/')) {
    return await withBody(request, (body) => receiveParts(body, request.headers, options, write));
  }
  throw unsupportedContentType(type);
}

/** Hands the request's body to `consume`, decompressed; a defect of the compression is the client's. */
async function withBody<T>(request: IncomingMessage, consume: (body: Readable) => Promise<T>): Promise<T> {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding === 'identity' || encoding === '') return await consume(request);
  if (encoding !== 'gzip') throw unsupportedContentEncoding(encoding);
  const gunzip = createGunzip();
  feed(request, gunzip).catch((error) => gunzip.destroy(error));
  try {
    return await consume(gunzip);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!code.startsWith('Z_')) throw error;
    throw bodyNotDecompressed(error as Error);
  } finally {
    gunzip.destroy();
  }
}

/** Writes each part named `file` as it comes, one after another. */
async function receiveParts(
  body: Readable,
  headers: IncomingHttpHeaders,
  options: UploadOptions,
  write: WriteOptions,
): Promise<WrittenFile[]> {
  const parser = openParser(headers);
  const written: WrittenFile[] = [];
  const seen = new Set<string>();
  const unread = new Set<Readable>();
  let failure: { error: unknown } | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    parser.destroy();
    for (const part of unread) part.destroy(error as Error);
  };
  const receive = async (part: Readable, filename: string) => {
    if (failure) return;
    const path = options.resolve(options.path || filename);
    if (seen.has(path)) throw pathUploadedTwice(path);
    seen.add(path);
    written.push(await writeFile(path, part, write));
    unread.delete(part);
  };

  // Until its turn comes a part is not read, which holds back the request.
  let parts: Promise<void> = Promise.resolve();
  parser.on('file', (_field, part, filename) => {
    part.on('error', () => {}); // told through `receive`
    unread.add(part);
    parts = parts.then(() => receive(part, filename ?? '')).catch(fail);
  });
  const parsed = new Promise<void>((resolve) => {
    parser.once('finish', resolve);
    parser.once('close', resolve);
    parser.on('error', (error) => {
      fail(malformed(error));
      resolve();
    });
  });
  await feed(body, parser).catch(fail);
  await parsed;
  await parts;
  if (failure) throw failure.error;
  return written;
}

function openParser(headers: IncomingHttpHeaders): BusboyInstance {
  try {
    return new Busboy({
      headers: { ...headers, 'content-type': headers['content-type'] ?? '' },
      preservePath: true, // the directories in a part's filename are where it goes
      isPartAFile: (field) => field === FILE_FIELD,
    });
  } catch (error) {
    throw malformed(error);
  }
}

function malformed(error: unknown): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (error instanceof IsletError || code.startsWith('Z_')) return error;
  return unreadableForm(error as Error);
}

/** Metadata from `X-Metadata-<key>` headers; of the same key twice the first counts. */
export function metadataOf(rawHeaders: readonly string[]): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase() ?? '';
    const key = name.slice(METADATA_HEADER.length);
    if (!name.startsWith(METADATA_HEADER) || Object.hasOwn(metadata, key)) continue;
    Object.defineProperty(metadata, key, { value: rawHeaders[i + 1] ?? '', enumerable: true });
  }
  return metadata;
}
