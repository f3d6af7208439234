import { type ClientRequest, type IncomingMessage, request as requestHttp1 } from 'node:http';
import { type ClientHttp2Session, constants, type IncomingHttpHeaders } from 'node:http2';
import { pipeline } from 'node:stream/promises';
import type { Destination } from './destination.ts';
import type { FilledHeader } from './header-values.ts';
import { type AnyRequest, type AnyResponse, headersOf, type ReadRequest } from './request.ts';

/** A request as it is sent: with what the rule puts, and without what the client had of the same names. */
export interface Outgoing extends ReadRequest {
  domain: string;
}

/** Puts a rule's headers in the place of all that the client sent under these names. */
export function transformed(read: ReadRequest, put: readonly FilledHeader[]): ReadRequest['headers'] {
  const names = new Set(put.map(({ name }) => name.toLowerCase()));
  const kept = read.headers.filter(([name]) => !names.has(name.toLowerCase()));
  return [...kept, ...put.map(({ name, value }): [string, string] => [name, value])];
}

/** Sends a request, and gives back what comes of it, as fast as either side reads. @throws Error if it breaks off */
export async function exchange(
  { request, response }: { request: AnyRequest; response: AnyResponse },
  outgoing: Outgoing,
  destination: Destination,
): Promise<void> {
  const way = await destination.way();
  if (way.kind === 'http2') return overHttp2({ request, response }, outgoing, way.session);
  const sent = requestHttp1({
    ...{ agent: way.agent, method: outgoing.method, path: outgoing.path, setHost: false },
    headers: http1Headers(outgoing) as never,
  });
  return overHttp1({ request, response }, outgoing, sent);
}

/** In Node's form of what it does not complete by itself: it says how long the body is. */
export function http1Headers({ domain, headers, hasBody, method }: Outgoing): string[] {
  const isLong = headers.some(([name]) => name.toLowerCase() === 'content-length');
  const framing = isLong
    ? []
    : hasBody
      ? ['Transfer-Encoding', 'chunked']
      : /^(?:POST|PUT|PATCH)$/.test(method)
        ? ['Content-Length', '0']
        : [];
  return ['Host', domain, ...headers.flat(), ...framing];
}

type Ends = { request: AnyRequest; response: AnyResponse };

async function overHttp1(
  { request, response }: Ends,
  outgoing: Outgoing,
  sent: ClientRequest,
): Promise<void> {
  sent.on('error', () => undefined);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve);
    sent.once('error', reject);
  });
  const abandon = () => sent.destroy(new Error('the client has gone'));
  response.once('close', abandon);
  try {
    sendBody(request, outgoing, sent);
    const answer = await answered;
    writeHead(response, answer.statusCode ?? 502, headersOf(answer.rawHeaders));
    answer.once('end', () => addTrailers(response, answer.rawTrailers));
    await pipeline(answer, response);
  } finally {
    response.off('close', abandon);
  }
}

async function overHttp2(
  { request, response }: Ends,
  { domain, method, path, headers, hasBody, takesTrailers }: Outgoing,
  session: ClientHttp2Session,
): Promise<void> {
  const stream = session.request(
    {
      ...http2Fields(headers),
      ...(takesTrailers && { te: 'trailers' }),
      [constants.HTTP2_HEADER_METHOD]: method,
      [constants.HTTP2_HEADER_PATH]: path,
      [constants.HTTP2_HEADER_SCHEME]: 'https',
      [constants.HTTP2_HEADER_AUTHORITY]: domain,
    },
    { endStream: !hasBody, waitForTrailers: hasBody },
  );
  stream.on('error', () => undefined);
  const abandon = () => stream.close(constants.NGHTTP2_CANCEL);
  response.once('close', abandon);
  try {
    stream.on('wantTrailers', () => stream.sendTrailers(trailersOf(request.rawTrailers)));
    const answered = new Promise<IncomingHttpHeaders & { ':status'?: number }>((resolve, reject) => {
      stream.once('response', resolve);
      stream.once('error', reject);
      stream.once('close', () => reject(new Error('the destination ended the request')));
    });
    if (hasBody) pipeBody(request, stream);
    const answer = await answered;
    const raw = Object.entries(answer).flatMap(([name, value]) =>
      [value ?? []].flat().flatMap((each) => [name, String(each)]),
    );
    writeHead(response, answer[':status'] ?? 502, headersOf(raw));
    stream.once('trailers', (trailers: IncomingHttpHeaders) =>
      addTrailers(
        response,
        Object.entries(trailers).flatMap(([name, value]) => [name, String(value)]),
      ),
    );
    await pipeline(stream, response);
  } finally {
    response.off('close', abandon);
  }
}

function sendBody(request: AnyRequest, { hasBody }: Outgoing, sent: ClientRequest): void {
  if (!hasBody) {
    sent.end();
    return;
  }
  request.once('end', () => {
    if (request.rawTrailers.length > 0) sent.addTrailers(trailersOf(request.rawTrailers));
  });
  pipeBody(request, sent);
}

/** What breaks off on either side is told by the answer. */
function pipeBody(request: AnyRequest, to: NodeJS.WritableStream): void {
  pipeline(request, to).catch(() => undefined);
}

function writeHead(response: AnyResponse, status: number, headers: [string, string][]): void {
  response.sendDate = false;
  if ('stream' in response) response.writeHead(status, http2Fields(headers));
  else response.writeHead(status, headers.flat());
}

function http2Fields(headers: [string, string][]): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    const before = fields[key];
    fields[key] = before === undefined ? value : [before, value].flat();
  }
  return fields;
}

function trailersOf(raw: readonly string[]): Record<string, string> {
  return Object.fromEntries(headersOf(raw));
}

function addTrailers(response: AnyResponse, raw: readonly string[]): void {
  if (raw.length > 0) response.addTrailers(trailersOf(raw));
}
