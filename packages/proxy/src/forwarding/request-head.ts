import { isHopByHop, nominated } from './hop-by-hop.ts';
import type { ProxyRequest } from './proxy-request.ts';

/** What a proxy changes in a request's head. */
export interface HeadChanges {
  /** Sent as Host instead of the client's; the client's goes to X-Forwarded-Host. */
  maskedHost: string | undefined;
  /** Names and values in turn, added behind the client's own. */
  extraFields: readonly string[];
}

/** The head of the request as it is sent to the sandbox. Everything is latin1, as it was received. */
export function renderRequestHead(request: ProxyRequest, changes: HeadChanges): string {
  const { maskedHost } = changes;
  const dropped = nominated(request.connection);
  let head = `${request.method} ${request.target} HTTP/1.1\r\nHost: ${maskedHost ?? request.host ?? ''}\r\n`;
  const { fields } = request;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (isHopByHop(name) || dropped?.has(name.toLowerCase())) {
      if (name.length === 2 && /\btrailers\b/i.test(fields[i + 1] ?? '')) head += 'TE: trailers\r\n';
      continue;
    }
    if (maskedHost !== undefined && name.length === 16 && name.toLowerCase() === 'x-forwarded-host') continue;
    head += `${name}: ${fields[i + 1]}\r\n`;
  }
  if (maskedHost !== undefined) head += `X-Forwarded-Host: ${request.host ?? ''}\r\n`;
  for (let i = 0; i < changes.extraFields.length; i += 2) {
    head += `${changes.extraFields[i]}: ${changes.extraFields[i + 1]}\r\n`;
  }
  if (request.upgrade !== undefined) head += `Connection: Upgrade\r\nUpgrade: ${request.upgrade}\r\n`;
  if (request.framing.kind === 'length') head += `Content-Length: ${request.framing.bytes}\r\n`;
  else if (request.framing.kind === 'chunked') head += 'Transfer-Encoding: chunked\r\n';
  return `${head}\r\n`;
}
