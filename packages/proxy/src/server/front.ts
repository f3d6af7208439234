import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Http2SecureServer, Http2Server, Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connectNotSupported, IsletError } from '@islet/contracts';
import type { Logger } from '@islet/telemetry';
import {
  ProxyError,
  portClosed,
  routingFailed,
  sandboxGone,
  sandboxMoved,
  sandboxSaved,
} from '../errors/proxy-error.ts';
import { renderError } from '../errors/render.ts';
import { PacedInput } from '../fairness/paced-input.ts';
import { type Share, Turns } from '../fairness/turns.ts';
import type { Destination } from '../forwarding/destination.ts';
import type { Downstream } from '../forwarding/downstream.ts';
import { Forwarding } from '../forwarding/forwarding.ts';
import { Http1Downstream } from '../forwarding/http1-downstream.ts';
import { Http2Downstream } from '../forwarding/http2-downstream.ts';
import { audienceOf, isHttp2, type ProxyRequest, parseRequest } from '../forwarding/proxy-request.ts';
import { Tunnel } from '../forwarding/tunnel.ts';
import { acceptsKey } from '../forwarding/websocket-http2.ts';
import type { RunFate } from '../routing/run-fate.ts';
import { DialError, type UpstreamPool } from '../upstream/pool.ts';
import type { ResponseHead } from '../upstream/response-head.ts';
import { RunClosedError, type RunId, RunSavedError } from '../upstream/run.ts';
import type { ProxyFigures } from './figures.ts';
import { DEFAULT_PLACES, type PlaceLimits, RunPlaces } from './run-places.ts';
import type { RunUses } from './run-uses.ts';
import { EarlyBytes, switchHead, takeOver, withoutUpgrade } from './upgrade.ts';

export interface FrontOptions {
  pool: UpstreamPool;
  logger: Logger;
  /** Decides where a request goes. Throws an IsletError for the client if it goes nowhere. */
  resolve: (request: ProxyRequest) => Destination | Promise<Destination>;
  /**
   * As `resolve`, for a request that was cut off since its sandbox was to be saved: waits until that is over. Absent: `resolve` does so
   * itself.
   */
  resolveAgain?: (request: ProxyRequest) => Promise<Destination>;
  /** What has become of a run; asked after a failure, to name its cause. */
  fateOf: (run: RunId) => RunFate | Promise<RunFate>;
  /** Requests and tunnels at once; `DEFAULT_PLACES` if absent. */
  places?: PlaceLimits;
  /** Told of the runs that are used; absent: nobody wants to know. */
  uses?: RunUses | undefined;
  /** Takes what is to be measured; absent: nothing is. */
  figures?: ProxyFigures | undefined;
  /** Shares the thread between the teams whose sandboxes are asked; those of one thread have one. */
  turns?: Turns;
}

/** Requests that a client may have waiting on one connection behind an unanswered one, and the size of their heads. */
const MAX_PIPELINED = 128;
const MAX_PIPELINED_BYTES = 256 * 1024;

/** What it takes to read a request's head before it is known whose it is, ms. */
const HEAD_MS = 0.05;

const NOTHING = Buffer.alloc(0);

/** Not the id of any team. */
const NOBODY = '';

type AnyRequest = IncomingMessage | Http2ServerRequest;
type AnyResponse = ServerResponse | Http2ServerResponse;

/** Serves what comes in on HTTP servers by forwarding it. One front can serve several servers. */
export class Front {
  readonly #options: FrontOptions;
  readonly #places: RunPlaces;
  readonly #pipelined = new WeakMap<Socket, Pipeline>();
  readonly #turns: Turns;
  /** By connection: its input, and whoever's sandbox its last request was for. */
  readonly #inputs = new WeakMap<object, PacedInput>();
  readonly #payers = new WeakMap<object, Share>();

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#turns = options.turns ?? new Turns();
    this.#places = new RunPlaces(options.places ?? DEFAULT_PLACES);
  }

  /** Requests and tunnels under way, and how many there may be. */
  places(): { taken: number; total: number } {
    return this.#places.counts();
  }

  /** @param readmit hands a connection to the server once more, from its first byte. */
  attach(server: Server | Http2SecureServer | Http2Server, readmit: (socket: Duplex) => void): void {
    const serve = (request: AnyRequest, response: AnyResponse) => this.#serve(request, response);
    server.on('request', serve);
    // The sandbox decides whether it wants the body, not we.
    server.on('checkContinue', serve);
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#serveUpgrade(request, socket, head, readmit);
    });
    server.on('connect', (request: AnyRequest, peer: Duplex | Http2ServerResponse) => {
      this.#serveConnect(request, peer);
    });
  }

  /**
   * Has a connection's requests parsed in turns; to be called when an HTTP/1.1 server has got it.
   * @param stranger who pays until it is known for whose sandbox they are
   */
  pace(socket: Socket, stranger: Share): void {
    const known = () => this.#payers.get(socket);
    this.#inputs.set(socket, new PacedInput(socket, { known, stranger }));
  }

  /** Over HTTP/2, a WebSocket begins with a CONNECT; any other one is refused. */
  #serveWebSocket(request: AnyRequest, response: Http2ServerResponse): void {
    const downstream = new Http2Downstream(response);
    this.#handle(request, downstream, (answer, upstream, rest, place) => {
      if (place.webSocketKey === undefined || !acceptsKey(answer, place.webSocketKey)) {
        upstream.destroy();
        place.release();
        this.#answer(downstream, request, routingFailed(new Error('the server did not answer for the key')));
        return;
      }
      downstream.accept(answer);
      this.#tunnel(response.stream, upstream, { rest, early: NOTHING, place });
    });
  }

  #serveConnect(request: AnyRequest, peer: Duplex | Http2ServerResponse): void {
    if (isHttp2(request)) {
      this.#serveWebSocket(request, peer as Http2ServerResponse);
      return;
    }
    const socket = peer as Duplex;
    this.#inputs.get(socket)?.detach();
    const response = takeOver(request as IncomingMessage, socket);
    if (!response) return;
    socket.resume();
    this.#answer(new Http1Downstream(response, false), request, connectNotSupported());
  }

  #serve(request: AnyRequest, response: AnyResponse): void {
    if (isHttp2(request)) {
      this.#handle(request, new Http2Downstream(response as Http2ServerResponse), undefined);
      return;
    }
    const plain = response as ServerResponse;
    const downstream = new Http1Downstream(plain, request.headers.expect !== undefined);
    if (plain.socket) {
      this.#handle(request, downstream, undefined);
      return;
    }
    // Pipelined behind another request: its turn comes when the response before it is done.
    const { socket, rawHeaders, url = '' } = request as IncomingMessage;
    const waiting = this.#pipelined.get(socket) ?? { requests: 0, bytes: 0 };
    this.#pipelined.set(socket, waiting);
    const bytes = rawHeaders.reduce((sum, text) => sum + text.length, url.length);
    waiting.requests++;
    waiting.bytes += bytes;
    if (waiting.requests > MAX_PIPELINED || waiting.bytes > MAX_PIPELINED_BYTES) socket.destroy();
    plain.once('socket', () => {
      waiting.requests--;
      waiting.bytes -= bytes;
      this.#handle(request, downstream, undefined);
    });
  }

  #serveUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    readmit: (socket: Duplex) => void,
  ): void {
    this.#inputs.get(socket)?.detach();
    const response = takeOver(request, socket);
    if (!response) return;
    const { headers } = request;
    if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0) {
      // A body comes first, which the server's parser has to delimit. Upgrading is optional for a server, so the
      // request is read again as one that does not ask for it.
      response.detachSocket(socket as Socket);
      socket.unshift(Buffer.concat([withoutUpgrade(request), head]));
      readmit(socket);
      return;
    }
    const early = new EarlyBytes(socket, head);
    this.#handle(request, new Http1Downstream(response, false), (answer, upstream, rest, place) => {
      response.detachSocket(socket as Socket);
      socket.write(switchHead(answer), 'latin1');
      this.#tunnel(socket, upstream, { rest, early: early.take(), place });
    });
  }

  #handle(request: AnyRequest, downstream: Downstream, onSwitch: OnSwitch | undefined): void {
    try {
      const asked = { request, parsed: parseRequest(request), downstream, onSwitch, isRepeated: false };
      const destination = this.#options.resolve(asked.parsed);
      if (destination instanceof Promise) {
        destination.then(
          (resolved) => this.#forwardOrAnswer(asked, resolved),
          (error: unknown) => this.#refuse(downstream, request, error),
        );
      } else {
        this.#forward(asked, destination);
      }
    } catch (error) {
      this.#refuse(downstream, request, error);
    }
  }

  #forwardOrAnswer(asked: Asked, destination: Destination): void {
    try {
      this.#forward(asked, destination);
    } catch (error) {
      this.#answer(asked.downstream, asked.request, error);
    }
  }

  /** Sends a request again that its sandbox cannot have answered, since it was saved meanwhile. */
  #repeat(asked: Asked): void {
    const { resolve, resolveAgain = async (request) => resolve(request) } = this.#options;
    resolveAgain(asked.parsed).then(
      (destination) => this.#forwardOrAnswer({ ...asked, isRepeated: true }, destination),
      (error: unknown) => this.#answer(asked.downstream, asked.request, error),
    );
  }

  #forward(asked: Asked, destination: Destination): void {
    const { request, parsed, downstream, onSwitch } = asked;
    const run = destination.upstream;
    const share = this.#turns.of(run.tenant);
    if (!isHttp2(request)) this.#payers.set(request.socket, share);
    const timing = this.#begin();
    const leave = this.#occupy(destination);
    const unuse = this.#options.uses?.begin(run.executionId);
    const release = once(() => {
      leave();
      unuse?.();
      timing?.ended();
    });
    const forwarding = new Forwarding(this.#options.pool, parsed, downstream, destination, share, {
      onAnswered: timing?.answered,
      onUnanswered: (error, mayRepeat) => {
        if (error instanceof RunSavedError && mayRepeat && !asked.isRepeated) {
          release();
          this.#repeat(asked);
          return;
        }
        void this.#explain(error, destination).then((cause) => this.#answer(downstream, request, cause));
      },
      onSwitch: (answer, upstream, rest) => {
        const { webSocketKey } = parsed;
        if (onSwitch) onSwitch(answer, upstream, rest, { run, share, release, webSocketKey });
        else upstream.destroy();
      },
      onSettled: release,
    });
    share.charge(HEAD_MS);
    share.enter(() => share.run(() => forwarding.start()));
  }

  #occupy({ upstream, connectionLimit }: Destination): () => void {
    try {
      return this.#places.occupy(upstream, connectionLimit);
    } catch (error) {
      this.#options.figures?.blocked();
      throw error;
    }
  }

  /** Times a request; undefined if nobody wants to know. */
  #begin(): { answered: (status: number) => void; ended: () => void } | undefined {
    const { figures } = this.#options;
    if (!figures?.isMeasured) return undefined;
    const begin = performance.now();
    return {
      answered: (status) => figures.answered(status, performance.now() - begin),
      ended: () => figures.ended(performance.now() - begin),
    };
  }

  /** Answers a request that goes to no sandbox. All of them have one share: who sends them is not known. */
  #refuse(downstream: Downstream, request: AnyRequest, error: unknown): void {
    const share = this.#turns.of(NOBODY);
    share.charge(HEAD_MS);
    share.enter(() => share.run(() => this.#answer(downstream, request, error)));
  }

  /** The answer for a request that got none from its sandbox. */
  async #explain(error: Error, destination: Destination): Promise<unknown> {
    const { upstream, sandboxPort, hop } = destination;
    const { sandboxId } = upstream;
    this.#options.logger.debug({ sandboxId, port: sandboxPort, err: error }, 'no answer from the sandbox');
    try {
      const fate = await this.#options.fateOf(upstream);
      if (fate === 'moved') return sandboxMoved(sandboxId, error);
      if (fate === 'over' || error instanceof RunClosedError) return sandboxGone(sandboxId, error);
      if (error instanceof RunSavedError) return sandboxSaved(sandboxId, error);
    } catch (lookupError) {
      return routingFailed(lookupError);
    }
    if (error instanceof DialError && hop === 'sandbox') return portClosed(sandboxId, sandboxPort, error);
    return routingFailed(error);
  }

  #answer(downstream: Downstream, request: AnyRequest, error: unknown): void {
    if (downstream.gone) return;
    const rendered = renderError(error, audienceOf(request));
    if (rendered.status >= 500 && !isExpected(error)) {
      this.#options.logger.error({ err: error }, 'a request failed inside the proxy');
    }
    try {
      downstream.sendError(rendered, request.method === 'HEAD');
    } catch (unsendable) {
      this.#options.logger.error({ err: unsendable }, 'an answer could not be sent');
      downstream.abort();
    }
  }

  #tunnel(client: Duplex, upstream: Socket, start: TunnelStart): void {
    const { place } = start;
    if (start.rest.length > 0) client.write(start.rest);
    if (start.early.length > 0) upstream.write(start.early);
    let detach = () => {};
    const tunnel = new Tunnel(client, upstream, place.share, () => {
      detach();
      place.release();
    });
    try {
      detach = this.#options.pool.attach(place.run, tunnel);
    } catch (error) {
      if (!(error instanceof RunClosedError)) throw error;
      tunnel.close();
    }
  }
}

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}

/** What a client asks, and how it is answered. */
interface Asked {
  request: AnyRequest;
  parsed: ProxyRequest;
  downstream: Downstream;
  onSwitch: OnSwitch | undefined;
  /** It was sent before, and cut off. */
  isRepeated: boolean;
}

/** What waits on one connection for its turn. */
interface Pipeline {
  requests: number;
  bytes: number;
}

/** A tunnel's place among its run's connections. */
interface RunPlace {
  run: RunId;
  share: Share;
  release: () => void;
  /** See `ProxyRequest`. */
  webSocketKey: string | undefined;
}

type OnSwitch = (answer: ResponseHead, upstream: Socket, rest: Buffer, place: RunPlace) => void;

interface TunnelStart {
  /** The sandbox's first bytes in the new protocol. */
  rest: Buffer;
  /** The client's. */
  early: Buffer;
  place: RunPlace;
}

/** True for an answer that the proxy chose; of a failure behind an answer the operator is to hear. */
function isExpected(error: unknown): boolean {
  return error instanceof ProxyError || (error instanceof IsletError && error.cause === undefined);
}
