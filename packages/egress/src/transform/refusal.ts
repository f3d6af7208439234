import { type AnyResponse, MisdirectedError } from './request.ts';

/** What a client is told if its request does not go on: nothing of why. */
export interface Refusal {
  code: number;
  message: string;
}

const MISDIRECTED: Refusal = {
  code: 421,
  message: 'Misdirected request: it asks for another host than its connection',
};
const FAILED: Refusal = { code: 502, message: 'Network transform failed' };

export function refusalOf(error: unknown): Refusal {
  return error instanceof MisdirectedError ? MISDIRECTED : FAILED;
}

/** Answers with it, or ends an answer that has begun. */
export function refuse(response: AnyResponse, refusal: Refusal): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = JSON.stringify(refusal);
  response.writeHead(refusal.code, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

/** The same for a connection that is none of a server's any more. */
export function writtenRefusal(refusal: Refusal): string {
  const body = JSON.stringify(refusal);
  const reason = refusal.code === 421 ? 'Misdirected Request' : 'Bad Gateway';
  return [
    ...[`HTTP/1.1 ${refusal.code} ${reason}`, 'Content-Type: application/json; charset=utf-8'],
    ...[`Content-Length: ${Buffer.byteLength(body)}`, 'Connection: close', '', body],
  ].join('\r\n');
}
