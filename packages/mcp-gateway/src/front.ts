import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Sessions } from './sessions.ts';

/** The longest request, bytes. */
const BODY_BYTES = 4 * 1024 * 1024;
/** For a client to send a request. */
const REQUEST_MS = 60_000;

/** Streamable HTTP at `/mcp`, for whoever has the token. */
export function createFront(sessions: Sessions, token: string): Server {
  const server = createServer((request, response) => {
    answer(request, response, sessions, token).catch((error: unknown) => {
      console.error(error);
      if (response.headersSent) response.destroy();
      else refuse(response, 500, 'the gateway failed: its log in the sandbox says why');
    });
  });
  server.requestTimeout = REQUEST_MS;
  return server;
}

async function answer(request: IncomingMessage, response: ServerResponse, sessions: Sessions, token: string) {
  const { pathname } = new URL(request.url ?? '/', 'http://gateway');
  if (pathname !== '/mcp') return refuse(response, 404, `nothing is at ${pathname}: the gateway is at /mcp`);
  if (!bears(request, token)) {
    response.setHeader('WWW-Authenticate', 'Bearer');
    return refuse(
      response,
      401,
      'send the header "Authorization: Bearer <token>", as getMcpToken() gives it',
    );
  }
  const body = request.method === 'POST' ? await readJson(request) : { value: undefined };
  if ('status' in body) return refuse(response, body.status, body.message);
  const id = request.headers['mcp-session-id'];
  if (id === undefined) return (await sessions.open()).handleRequest(request, response, body.value);
  const transport = typeof id === 'string' ? sessions.find(id) : undefined;
  // The status that has a client begin a new session.
  if (!transport) return refuse(response, 404, 'the session is not known here: begin a new one');
  return transport.handleRequest(request, response, body.value);
}

function bears(request: IncomingMessage, token: string): boolean {
  const [, given] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (given === undefined) return false;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}

type Body = { value: unknown } | { status: number; message: string };

async function readJson(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES) return { status: 413, message: `a request may have ${BODY_BYTES} bytes at most` };
    chunks.push(chunk);
  }
  try {
    return { value: JSON.parse(Buffer.concat(chunks).toString('utf8')) };
  } catch (error) {
    return { status: 400, message: `the request is not JSON: ${(error as Error).message}` };
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  // What of the request was not read is not waited for.
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32_000, message } }));
}
