import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';

/** What is asked of a registry. */
export type Asked = 'ping' | 'token' | 'manifest' | 'config' | 'layer';

export type Lie = (request: IncomingMessage, response: ServerResponse) => void;

export interface LyingRegistry extends AsyncDisposable {
  /** Of its one image. */
  image: string;
  host: string;
  /** Bytes that it has sent in lies. */
  readonly sentBytes: number;
  /** Answers that question so from now on. */
  lie(asked: Asked, answer: Lie): void;
}

const digestOf = (content: Buffer) => `sha256:${createHash('sha256').update(content).digest('hex')}`;

/** A registry on the loopback address that has one sound image, until it is told to lie. */
export async function startLyingRegistry({ layers = 1 } = {}): Promise<LyingRegistry> {
  const layer = gzipSync(Buffer.alloc(10_240));
  const config = Buffer.from(
    JSON.stringify({
      architecture: { x64: 'amd64', arm64: 'arm64' }[process.arch as string],
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: Array(layers).fill(digestOf(Buffer.alloc(10_240))) },
    }),
  );
  const type = 'application/vnd.oci.image';
  const layerEntry = { mediaType: `${type}.layer.v1.tar+gzip`, digest: digestOf(layer), size: layer.length };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: `${type}.manifest.v1+json`,
      config: { mediaType: `${type}.config.v1+json`, digest: digestOf(config), size: config.length },
      layers: Array(layers).fill(layerEntry),
    }),
  );
  const lies = new Map<Asked, Lie>();
  let sentBytes = 0;
  const server = createServer((request, response) => {
    const asked = questionOf(request.url ?? '', digestOf(config));
    const write = response.write.bind(response) as (chunk: Buffer) => boolean;
    response.write = ((chunk: Buffer) => {
      sentBytes += chunk.length;
      return write(chunk);
    }) as typeof response.write;
    response.on('error', () => {});
    const lie = lies.get(asked);
    if (lie) return lie(request, response);
    const content = { ping: Buffer.alloc(0), token: Buffer.from('{}'), manifest, config, layer }[asked];
    const headers = asked === 'manifest' ? { 'content-type': `${type}.manifest.v1+json` } : {};
    response.writeHead(200, { ...headers, 'content-length': content.length }).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    image: `${host}/image:1`,
    host,
    get sentBytes() {
      return sentBytes;
    },
    lie: (asked, answer) => void lies.set(asked, answer),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function questionOf(path: string, configDigest: string): Asked {
  if (path.includes('/manifests/')) return 'manifest';
  if (path.includes(configDigest)) return 'config';
  if (path.includes('/blobs/')) return 'layer';
  return path.startsWith('/token') ? 'token' : 'ping';
}

/** Sends as long as somebody takes it. */
export function endless(response: ServerResponse, status = 200, headers: Record<string, string> = {}): void {
  response.writeHead(status, headers);
  const piece = Buffer.alloc(64 * 1024, ' ');
  Readable.from(
    (function* () {
      for (;;) yield piece;
    })(),
  )
    .on('error', () => {})
    .pipe(response);
}

/** The same with a head that goes on. */
export function endlessHeads({ socket }: ServerResponse): void {
  if (!socket) return;
  const lines = Buffer.from('X: y\r\n'.repeat(10_000));
  socket.on('error', () => {});
  socket.write('HTTP/1.1 200 OK\r\n');
  Readable.from(
    (function* () {
      for (;;) yield lines;
    })(),
  ).pipe(socket);
}
