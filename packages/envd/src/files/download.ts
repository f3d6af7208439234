import { type FileHandle, open } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import {
  fileNotOpened,
  invalidPath,
  invalidRange,
  noAcceptableEncoding,
  pathIsDirectory,
  pathNotFound,
} from '@islet/contracts';
import { chooseEncoding } from './accept-encoding.ts';
import {
  type ByteRange,
  isConditional,
  isNotModified,
  requestedRange,
  type Validators,
} from './conditions.ts';
import { contentType, inlineDisposition, SNIFF_BYTES } from './content-type.ts';

/** Read at once, at most twice this is in memory for a download. Under gVisor 1 MiB is four times faster than 256 KiB. */
const READ_BYTES = 1024 * 1024;

/**
 * What gzip hands on at once. The fetch of Node pauses and copies all it has buffered for every chunk that fills its
 * decoder (16 KiB): in chunks of 16 KiB, zlib's default, 50 MB took it 14 s of CPU time, in chunks of 64 KiB 0.2 s.
 */
const GZIP_CHUNK_BYTES = 256 * 1024;

/** Answers with a file's contents. @throws IsletError */
export async function sendFile(
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const file = await openFile(path);
  try {
    const stat = await file.stat({ bigint: true });
    if (stat.isDirectory()) throw pathIsDirectory(path);
    const size = Number(stat.size);
    const validators: Validators = {
      etag: `"${stat.mtimeNs.toString(36)}-${stat.size.toString(36)}"`,
      modifiedMs: Number(stat.mtimeMs),
    };
    response.setHeader('Vary', 'Accept-Encoding');
    response.setHeader('Last-Modified', new Date(validators.modifiedMs).toUTCString());
    response.setHeader('ETag', validators.etag);
    response.setHeader('Accept-Ranges', 'bytes');
    response.setHeader('Content-Disposition', inlineDisposition(posix.basename(path)));
    const start = await readStart(file, stat.isFile());
    response.setHeader('Content-Type', contentType(path, start));

    const encoding = isConditional(request.headers)
      ? 'identity'
      : chooseEncoding(headerText(request.headers['accept-encoding']));
    if (encoding === 'none') throw noAcceptableEncoding();
    if (isNotModified(request.headers, validators)) {
      response.removeHeader('Content-Type');
      response.writeHead(304).end();
      return;
    }
    const sizeIsKnown = stat.isFile() && (size > 0 || start.length === 0);
    if (!sizeIsKnown) await sendStream(file, response);
    else if (encoding === 'gzip' && size > 0) await sendGzip(file, response, validators);
    else await sendRange(file, response, size, requestedRange(request.headers, size, validators));
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw pathNotFound(path, error);
    }
    if (code === 'ENAMETOOLONG' || code === 'EINVAL') {
      throw invalidPath(path, error as Error);
    }
    throw fileNotOpened(path, error as Error);
  }
}

/** Only of regular files: a pipe's first bytes could not be read twice. */
async function readStart(file: FileHandle, isRegular: boolean): Promise<Buffer> {
  if (!isRegular) return Buffer.of(0);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(SNIFF_BYTES), 0, SNIFF_BYTES, 0);
  return buffer.subarray(0, bytesRead);
}

async function sendRange(
  file: FileHandle,
  response: ServerResponse,
  size: number,
  range: ByteRange | 'all' | 'unsatisfiable',
): Promise<void> {
  if (range === 'unsatisfiable') {
    response.setHeader('Content-Range', `bytes */${size}`);
    throw invalidRange();
  }
  const { start, end } = range === 'all' ? { start: 0, end: size - 1 } : range;
  if (range !== 'all') {
    response.statusCode = 206;
    response.setHeader('Content-Range', `bytes ${start}-${end}/${size}`);
  }
  response.setHeader('Content-Length', end - start + 1);
  if (end < start) response.end();
  else await pipe(reader(file, { start, end }), response);
}

async function sendGzip(file: FileHandle, response: ServerResponse, validators: Validators): Promise<void> {
  response.setHeader('Content-Encoding', 'gzip');
  // Compressed bytes are another representation: only weakly the same as the file's.
  response.setHeader('ETag', `W/${validators.etag}`);
  // The other end is usually on the same machine or close: speed matters more than size.
  const gzip = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: GZIP_CHUNK_BYTES });
  await pipe(reader(file, {}), gzip, response);
}

/** Devices tell no size, and files of /proc say 0. */
async function sendStream(file: FileHandle, response: ServerResponse): Promise<void> {
  await pipe(reader(file, {}), response);
}

/**
 * Closes the file when it has ended or was destroyed, and the last read has come back. A stream of the bare descriptor would do so, too, whatever
 * it is told, and who closes the file after it closes what has got that descriptor meanwhile.
 */
function reader(file: FileHandle, range: { start?: number; end?: number }): NodeJS.ReadableStream {
  return file.createReadStream({ highWaterMark: READ_BYTES, ...range });
}

async function pipe(
  ...streams: (NodeJS.ReadableStream | NodeJS.ReadWriteStream | ServerResponse)[]
): Promise<void> {
  try {
    await pipeline(streams as [NodeJS.ReadableStream, NodeJS.WritableStream]);
  } catch (error) {
    // The client left in the middle: nobody is there to be told.
    if ((error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
}

function headerText(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(', ') : header;
}
