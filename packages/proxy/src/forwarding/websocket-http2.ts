import { createHash, randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http2';
import type { ResponseHead } from '../upstream/response-head.ts';

/** RFC 6455 §1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const KEY_BYTES = 16;

/** Whether a CONNECT over HTTP/2 asks for WebSocket (RFC 8441 §4). */
export function asksForWebSocket(headers: IncomingHttpHeaders): boolean {
  return headers[':protocol'] === 'websocket';
}

/** What HTTP/1.1 wants beside the fields that came over HTTP/2, which has no use for it. */
export function newWebSocketKey(): string {
  return randomBytes(KEY_BYTES).toString('base64');
}

/** Whether the server's answer is the one to that key. */
export function acceptsKey({ fields }: ResponseHead, key: string): boolean {
  const accepted = createHash('sha1').update(`${key}${GUID}`).digest('base64');
  const given = fields.filter(
    (_, i) => i % 2 === 1 && fields[i - 1]?.toLowerCase() === 'sec-websocket-accept',
  );
  return given.length === 1 && given[0] === accepted;
}
