import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { IsletError } from '../../packages/contracts/src/index.ts';
import { parseRequest } from '../../packages/proxy/src/forwarding/proxy-request.ts';
import { renderRequestHead } from '../../packages/proxy/src/forwarding/request-head.ts';
import { reservedPath } from '../../packages/proxy/src/routing/control-plane.ts';
import { type LlhttpRequest, readRequestWithLlhttp } from '../../packages/proxy/test/llhttp-request.ts';
import type { FuzzTarget } from '../target.ts';

/** The first byte chooses whether the sandbox's owner hides the client's Host; the rest is what the client sends. */
export const target: FuzzTarget = {
  description: 'a request as the edge forwards it, which the sandbox must read as that one request',
  run(input) {
    const received = readRequestWithLlhttp(input.subarray(1));
    if (typeof received !== 'object') return;
    const maskedHost = input[0] === 0x6d ? 'masked.example' : undefined;
    const request = allowed(() => parseRequest(asNodeHasIt(received)));
    if (request === undefined) return;
    const extraFields = ['e2b-sandbox-id', 'abc'];
    const head = Buffer.from(renderRequestHead(request, { maskedHost, extraFields }), 'latin1');
    const sent = readRequestWithLlhttp(Buffer.concat([head, Buffer.from('BEHIND')]));
    if (typeof sent !== 'object') throw new Error(`what is forwarded is no request: ${sent}`);
    if (sent.surplus !== 'BEHIND'.length) throw new Error('what is forwarded ends elsewhere than it should');
    assertSame(sent, { ...request, host: maskedHost ?? request.host ?? '' });
    assertReserved(request.target);
  },
};

function asNodeHasIt({ fields, method, minor, target }: LlhttpRequest): IncomingMessage {
  const message = new IncomingMessage(SOCKET);
  return Object.assign(message, {
    ...{ method, url: target, rawHeaders: fields },
    ...{ httpVersionMajor: 1, httpVersionMinor: minor },
  });
}

const SOCKET = new Socket();

function assertSame(sent: LlhttpRequest, request: ReturnType<typeof parseRequest> & { host: string }): void {
  const { framing, host, method, target, upgrade } = request;
  if (sent.method !== method || sent.target !== target)
    throw new Error(`forwarded as ${sent.method} ${sent.target}`);
  const expected = {
    host: [host.trim()],
    'content-length': framing.kind === 'length' ? [framing.bytes] : [],
    'transfer-encoding': framing.kind === 'chunked' ? ['chunked'] : [],
    connection: upgrade === undefined ? [] : ['Upgrade'],
    upgrade: upgrade === undefined ? [] : [upgrade.trim()],
    'keep-alive': [],
    'proxy-connection': [],
    'http2-settings': [],
  };
  for (const [name, values] of Object.entries(expected)) {
    const found = valuesOf(name, sent.fields);
    if (found.join('\n') !== values.join('\n')) throw new Error(`${name} is ${JSON.stringify(found)}`);
  }
  if (!valuesOf('e2b-sandbox-id', sent.fields).includes('abc'))
    throw new Error('the routing of Islet is missing');
}

function valuesOf(name: string, fields: readonly string[]): string[] {
  return fields.flatMap((value, i) =>
    i % 2 === 1 && fields[i - 1]?.toLowerCase() === name ? [value.trim()] : [],
  );
}

/** Whatever a server that cleans paths would take for an endpoint of the control plane is kept from it. */
function assertReserved(target: string): void {
  if (reservedPath(target) !== undefined || !URL.canParse(`http://sandbox${target}`)) return;
  const { pathname } = new URL(`http://sandbox${target}`);
  const cleaned = decoded(pathname).replace(/\/+$/, '').toLowerCase();
  if (reservedPath(cleaned) !== undefined) throw new Error(`${target} reaches ${cleaned}`);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function allowed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof IsletError && error.status < 500) return undefined;
    if (error instanceof IsletError && error.status === 501) return undefined;
    throw error;
  }
}
