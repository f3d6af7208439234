import { normalName } from '../../packages/egress/src/decision/names.ts';
import type { BodyFraming, RequestHead } from '../../packages/egress/src/sniff/request-head.ts';
import { type RequestPart, RequestStream } from '../../packages/egress/src/sniff/request-stream.ts';
import { type LlhttpRequest, readRequestWithLlhttp } from '../../packages/proxy/test/llhttp-request.ts';
import type { FuzzTarget } from '../target.ts';

/** The first byte is the length of the pieces that the rest comes in the second time. */
export const target: FuzzTarget = {
  description:
    'requests of a sandbox by plain HTTP, each of which is for the name that a server takes it for',
  run(input) {
    const bytes = input.subarray(1);
    const whole = partsOf(bytes, bytes.length);
    const inPieces = partsOf(bytes, input[0] || 1);
    if (JSON.stringify(summary(whole)) !== JSON.stringify(summary(inPieces))) {
      throw new Error(`in pieces it is ${JSON.stringify(summary(inPieces))}`);
    }
    for (const part of whole) if (part.is === 'head') assertSameToServers(part);
  },
};

function partsOf(bytes: Buffer, pieceBytes: number): RequestPart[] {
  const stream = new RequestStream();
  const parts: RequestPart[] = [];
  let count = 0;
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    stream.push(Buffer.from(bytes.subarray(at, at + pieceBytes)));
    for (let part = stream.next(); part; part = stream.next()) {
      parts.push(part);
      count += part.bytes.length;
    }
  }
  if (count + stream.held.length !== bytes.length) throw new Error('bytes are lost');
  return parts;
}

/** Bodies, and what is broken, come in as many parts as there are pieces. */
function summary(parts: readonly RequestPart[]): { is: string; bytes: number; head?: RequestHead }[] {
  const found: { is: string; bytes: number; head?: RequestHead }[] = [];
  for (const part of parts) {
    const last = found.at(-1);
    if (part.is !== 'head' && last?.is === part.is) last.bytes += part.bytes.length;
    else {
      const head = part.is === 'head' ? { head: part.head } : {};
      found.push({ is: part.is, bytes: part.bytes.length, ...head });
    }
  }
  return found;
}

/** A server that refuses it cannot be misled. */
function assertSameToServers({ bytes, head }: Extract<RequestPart, { is: 'head' }>): void {
  const seen = readRequestWithLlhttp(Buffer.from(bytes));
  if (typeof seen !== 'object') return;
  const framing = framingOf(seen);
  // CONNECT and upgrades have no body in its view.
  if (
    !head.isTunnel &&
    !head.asksForUpgrade &&
    framing &&
    JSON.stringify(framing) !== JSON.stringify(head.framing)
  ) {
    throw new Error(
      `a server sees a body of ${JSON.stringify(framing)}, not ${JSON.stringify(head.framing)}`,
    );
  }
  if (head.isTunnel !== (seen.method === 'CONNECT')) throw new Error(`a server sees ${seen.method}`);
  if (head.name === undefined) return;
  const hosts = valuesOf('host', seen.fields).map((host) => normalName(host.replace(/:\d*$/, '')));
  const isForOther = hosts.length > 1 || (hosts.length === 1 && hosts[0] !== head.name);
  if (isForOther) throw new Error(`a server sees a request for ${hosts}, not for ${head.name}`);
}

function framingOf({ fields }: LlhttpRequest): BodyFraming | undefined {
  const [coding] = valuesOf('transfer-encoding', fields);
  if (coding !== undefined) return { kind: 'chunked' };
  const [length] = valuesOf('content-length', fields);
  if (length === undefined || Number(length) === 0) return { kind: 'none' };
  return { kind: 'length', bytes: Number(length) };
}

function valuesOf(name: string, fields: readonly string[]): string[] {
  return fields.flatMap((value, i) =>
    i % 2 === 1 && fields[i - 1]?.toLowerCase() === name ? [value.trim()] : [],
  );
}
