import type { Socket } from 'node:net';
import type { ProxyRequest } from '../forwarding/proxy-request.ts';
import type { HeadChanges } from '../forwarding/request-head.ts';
import type { ResponseHead } from './response-head.ts';
import type { ResponseSink } from './response-parser.ts';

/** Follows one exchange with a sandbox: the response's pieces, and the carrier's own events. */
export interface Exchange extends Omit<ResponseSink, 'onSwitch'> {
  /** 101: the socket is the exchange's from now on; `rest` are the first bytes of the new protocol. */
  onSwitch(head: ResponseHead, socket: Socket, rest: Buffer): void;
  /** Everything that has arrived so far was handed over, and the response is not complete. */
  onPause(): void;
  /** The carrier takes more of the request's body. */
  onDrain(): void;
  /** The exchange cannot be completed. Called once at most, and not after `onComplete`. */
  onFailure(error: Error): void;
  /** Does what a piece of the response takes, on account of whoever's exchange it is. */
  work(work: () => void): void;
}

/** Carries one exchange at a time to a port of a sandbox: a connection of HTTP/1.1, or a stream of HTTP/2. */
export interface Carrier {
  /** Its connection has carried an exchange before, so the server may be about to close it. */
  readonly reused: boolean;
  /** The server has sent something in this exchange. */
  readonly answered: boolean;
  /** Sends the head. A body follows if the request has one and asks for no other protocol. */
  begin(exchange: Exchange, request: ProxyRequest, changes: HeadChanges): void;
  /** Sends a piece of the body. Gives false if too much of it waits; `onDrain` tells when there is room. */
  writeBody(piece: Buffer): boolean;
  /** The whole request was sent; `trailers` are names and values in turn. */
  endBody(trailers: readonly string[]): void;
  /** Stops reading the response until `resume`. */
  pause(): void;
  resume(): void;
  /** Stops reading until `release`, whatever the reader of the response wants. */
  hold(): void;
  release(): void;
  /** Ends it at once; a running exchange fails with `reason`. */
  destroy(reason: Error): void;
}
