import type { Socket } from 'node:net';
import type { Share } from '../fairness/turns.ts';
import type { Carrier, Exchange } from '../upstream/carrier.ts';
import type { UpstreamPool } from '../upstream/pool.ts';
import type { ResponseHead } from '../upstream/response-head.ts';
import { BodyPump } from './body-pump.ts';
import type { Destination } from './destination.ts';
import type { Downstream } from './downstream.ts';
import type { ProxyRequest } from './proxy-request.ts';
import { withoutReserved } from './trailers.ts';

/** Methods that a proxy may send again by itself (RFC 9110 §9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

export interface ForwardingOutcome {
  /** The sandbox has answered; absent: nobody wants to know. */
  onAnswered?: ((status: number) => void) | undefined;
  /** There is no answer from the sandbox: the client has to get one from us, or the request is to be sent again, if it may be. */
  onUnanswered(error: Error, mayRepeat: boolean): void;
  /** The sandbox switched protocols: both ends are the caller's now. */
  onSwitch(head: ResponseHead, upstream: Socket, rest: Buffer): void;
  /** Nothing more happens in this exchange, and nothing of it is in memory. Not called if the protocol was switched. */
  onSettled(): void;
}

/** One request on its way: from the connection it takes, over a possible second try, to the response's last byte. */
export class Forwarding implements Exchange {
  readonly #pool: UpstreamPool;
  readonly #request: ProxyRequest;
  readonly #downstream: Downstream;
  readonly #destination: Destination;
  readonly #share: Share;
  readonly #outcome: ForwardingOutcome;
  #carrier: Carrier | undefined;
  #pump: BodyPump | undefined;
  #opening: AbortController | undefined;
  #isSent = false;
  #informed = false;
  #headWritten = false;
  #settled = false;
  #corked = false;
  #watchesDrain = false;

  constructor(
    pool: UpstreamPool,
    request: ProxyRequest,
    downstream: Downstream,
    destination: Destination,
    share: Share,
    outcome: ForwardingOutcome,
  ) {
    this.#pool = pool;
    this.#request = request;
    this.#downstream = downstream;
    this.#destination = destination;
    this.#share = share;
    this.#outcome = outcome;
  }

  start(): void {
    if (this.#downstream.gone) {
      this.#settled = true;
      this.#outcome.onSettled();
      return;
    }
    this.#downstream.onClosed((whole) => {
      if (!whole) this.#abandon();
      this.#outcome.onSettled();
    });
    const kept = this.#mayReuse() ? this.#pool.take(this.#destination.upstream) : undefined;
    if (kept) this.#send(kept);
    else void this.#openAndSend();
  }

  #repeatable(): boolean {
    const { framing, method } = this.#request;
    const bodyless = framing.kind === 'none' || (framing.kind === 'length' && framing.bytes === '0');
    return bodyless && IDEMPOTENT.has(method);
  }

  #mayReuse(): boolean {
    if (this.#request.upgrade !== undefined) return false;
    return this.#destination.reuse === 'any' || this.#repeatable();
  }

  async #openAndSend(): Promise<void> {
    const opening = new AbortController();
    this.#opening = opening;
    try {
      const { upstream, attempts } = this.#destination;
      const carrier = await this.#pool.open(upstream, attempts, opening.signal);
      this.#opening = undefined;
      if (this.#settled) carrier.destroy(new Error('the client is gone'));
      else this.#send(carrier);
    } catch (error) {
      this.#opening = undefined;
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #send(carrier: Carrier): void {
    const { framing, upgrade } = this.#request;
    this.#carrier = carrier;
    this.#isSent = true;
    carrier.begin(this, this.#request, this.#destination.changes);
    if (framing.kind !== 'none' && upgrade === undefined) {
      this.#pump = new BodyPump(this.#request, carrier, this.#share);
    }
  }

  onInformation(head: ResponseHead): void {
    if (head.status === 100 && !this.#request.expectsContinue) return;
    this.#informed = true;
    if (!this.#downstream.writeInformation(head)) this.#waitForClient();
  }

  onHead(head: ResponseHead): void {
    this.#downstream.writeHead(head);
    this.#headWritten = true;
    this.#outcome.onAnswered?.(head.status);
  }

  onBody(chunk: Buffer, last: boolean): void {
    if (!last && !this.#corked) {
      this.#corked = true;
      this.#downstream.cork();
    }
    if (!this.#downstream.write(chunk, last) && !last) this.#waitForClient();
  }

  /** Reads no further before the client has taken what there is. */
  #waitForClient(): void {
    this.#carrier?.pause();
    if (this.#watchesDrain) return;
    this.#watchesDrain = true;
    this.#downstream.onDrain(() => this.#carrier?.resume());
  }

  work(work: () => void): void {
    const carrier = this.#carrier;
    this.#share.run(work);
    // It may have got another owner, or none.
    if (!carrier || carrier !== this.#carrier || !this.#share.isOver) return;
    carrier.hold();
    this.#share.enter(() => carrier.release());
  }

  onPause(): void {
    if (this.#headWritten) this.#flush();
  }

  /** Sends what arrived at once on as one piece, and the head even where no body follows yet. */
  #flush(): void {
    if (this.#corked) {
      this.#corked = false;
      this.#downstream.uncork();
    } else {
      this.#downstream.flushHead();
    }
  }

  onComplete(trailers: string[]): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#downstream.end(withoutReserved(trailers));
    if (this.#corked) this.#flush();
    const pump = this.#pump;
    if (pump && !pump.finished) {
      // The answer came before the whole request was sent: this connection is of no more use.
      pump.stop();
      this.#carrier?.destroy(new Error('answered before the request was complete'));
    }
    // It may carry another exchange from now on, which this one's late events must not touch.
    this.#carrier = undefined;
  }

  onSwitch(head: ResponseHead, socket: Socket, rest: Buffer): void {
    this.#carrier = undefined;
    if (this.#settled) {
      socket.destroy();
      return;
    }
    this.#settled = true;
    this.#outcome.onSwitch(head, socket, rest);
  }

  onDrain(): void {
    this.#pump?.drained();
  }

  onFailure(error: Error): void {
    const carrier = this.#carrier;
    this.#carrier = undefined;
    const stale = carrier?.reused === true && !carrier.answered;
    if (!this.#settled && stale && this.#repeatable()) void this.#openAndSend();
    else this.#fail(error);
  }

  #fail(error: Error): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#pump?.stop();
    if (!this.#headWritten) {
      this.#outcome.onUnanswered(error, !this.#isSent || (this.#repeatable() && !this.#informed));
      return;
    }
    this.#flush();
    this.#downstream.abort();
  }

  #abandon(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#pump?.stop();
    const gone = new Error('the client is gone');
    this.#opening?.abort(gone);
    this.#carrier?.destroy(gone);
    this.#carrier = undefined;
  }
}
