import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream';
import { createServer as createTlsServer, type SecureContext, type TLSSocket } from 'node:tls';
import type { Credentials } from '../credentials.ts';
import type { Destination } from './destination.ts';
import { exchange, type Outgoing, transformed } from './exchange.ts';
import { areFixed, FillError, fillHeaders, type RuleHeader, readRuleHeaders } from './header-values.ts';
import { refusalOf, refuse, writtenRefusal } from './refusal.ts';
import { type AnyRequest, type AnyResponse, readRequest } from './request.ts';
import type { TransformedConnection } from './transform.ts';
import { upgrade } from './upgrade.ts';

/** For a client's handshake, ms. */
const HANDSHAKE_MS = 30_000;
/** Between two requests, ms. */
const KEEP_ALIVE_MS = 65_000;
/** Nothing goes either way, ms. */
const IDLE_MS = 15 * 60_000;
const HEADER_BYTES = 64 * 1024;
/** Requests of one connection at once. */
const MOST_STREAMS = 128;

/** One connection of a sandbox, whose requests are answered by the destination. */
export class ServedConnection {
  readonly #connection: TransformedConnection;
  readonly #destination: Destination;
  readonly #credentials: Pick<Credentials, 'secret' | 'token'>;

  constructor(
    connection: TransformedConnection,
    destination: Destination,
    credentials: Pick<Credentials, 'secret' | 'token'>,
  ) {
    this.#connection = connection;
    this.#destination = destination;
    this.#credentials = credentials;
  }

  /** @param context what TLS is answered with; absent: the connection has none. Resolves when the connection is over. */
  async serve(context: SecureContext | undefined): Promise<void> {
    const { client } = this.#connection;
    client.setTimeout(IDLE_MS, () => client.destroy());
    const ended = new Promise<void>((resolve) => finished(client, () => resolve()));
    const socket = context ? await secured(client, context) : client;
    if (!socket) return;
    socket.on('error', () => undefined);
    const isHttp2 = (socket as Partial<TLSSocket>).alpnProtocol === 'h2';
    (isHttp2 ? this.#http2Server() : this.#http1Server()).emit('connection', socket);
    // What was read of it before waits in it.
    if (!context) client.resume();
    await ended;
  }

  #http1Server() {
    const server = createServer({
      ...{ maxHeaderSize: HEADER_BYTES, requireHostHeader: false, keepAliveTimeout: KEEP_ALIVE_MS },
      insecureHTTPParser: false,
    });
    server.on('request', (request, response) => void this.#answer(request, response));
    server.on('checkContinue', (request, response) => {
      response.writeContinue();
      void this.#answer(request, response);
    });
    server.on('upgrade', (request: IncomingMessage, client: Duplex, head: Buffer) => {
      void this.#upgrade(request, client, head);
    });
    server.on('connect', (_: IncomingMessage, client: Duplex) => {
      client.end(writtenRefusal({ code: 421, message: 'No tunnel begins here' }));
    });
    return server;
  }

  #http2Server() {
    const server = createHttp2Server({
      maxSendHeaderBlockLength: 2 * HEADER_BYTES,
      settings: { maxConcurrentStreams: MOST_STREAMS, maxHeaderListSize: HEADER_BYTES },
    });
    server.on('request', (request, response) => void this.#answer(request, response));
    server.on('checkContinue', (request, response) => {
      response.writeContinue();
      void this.#answer(request, response);
    });
    server.on('sessionError', () => undefined);
    return server;
  }

  async #answer(request: AnyRequest, response: AnyResponse): Promise<void> {
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    try {
      const outgoing = await this.#prepare(request);
      await exchange({ request, response }, outgoing, this.#destination);
    } catch (error) {
      refuse(response, refusalOf(error));
    }
  }

  async #upgrade(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    client.on('error', () => undefined);
    try {
      await upgrade({ request, client, head }, await this.#prepare(request), this.#destination);
      client.end();
    } catch (error) {
      // Nothing was written if it is no failure on the way.
      if ((client as Socket).bytesWritten === 0 || client.writable)
        client.end(writtenRefusal(refusalOf(error)));
      else client.destroy();
    }
  }

  /** What is sent: nothing is filled in before the destination has proved to be the domain. */
  async #prepare(request: AnyRequest): Promise<Outgoing> {
    const { kind, rule, sandbox, onUse } = this.#connection;
    const { domain } = rule;
    const read = readRequest(request, domain);
    const headers = this.#headers(kind === 'tls');
    if (kind === 'tls') await this.#destination.way();
    const filled = await fillHeaders(headers, sandbox, this.#credentials);
    if (filled.secrets.length > 0) onUse?.(filled.secrets);
    return { ...read, domain, headers: transformed(read, filled.headers) };
  }

  #headers(isTls: boolean): RuleHeader[] {
    const headers = readRuleHeaders(this.#connection.rule);
    if (!isTls && !areFixed(headers)) throw new FillError('no credential goes where it can be read');
    return headers;
  }
}

/** The client's side of a connection with TLS; undefined if there comes none of it. */
function secured(client: Socket, context: SecureContext): Promise<TLSSocket | undefined> {
  return new Promise((resolve) => {
    const server = createTlsServer({
      ...{ ALPNProtocols: ['h2', 'http/1.1'], handshakeTimeout: HANDSHAKE_MS },
      SNICallback: (_, done) => done(null, context),
    });
    server.once('secureConnection', resolve);
    server.once('tlsClientError', () => resolve(undefined));
    client.once('close', () => resolve(undefined));
    server.emit('connection', client);
  });
}
