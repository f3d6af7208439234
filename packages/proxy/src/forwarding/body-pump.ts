import type { Share } from '../fairness/turns.ts';
import type { Carrier } from '../upstream/carrier.ts';
import type { ProxyRequest } from './proxy-request.ts';
import { withoutReserved } from './trailers.ts';

/** Sends a request's body to the sandbox as it comes, no faster than the sandbox takes it. */
export class BodyPump {
  /** The client has sent everything and it was written on. */
  finished = false;
  readonly #request: ProxyRequest;
  readonly #carrier: Carrier;
  readonly #share: Share;
  #full = false;
  #held = false;

  constructor(request: ProxyRequest, carrier: Carrier, share: Share) {
    this.#request = request;
    this.#carrier = carrier;
    this.#share = share;
    request.body.on('data', this.#onData);
    request.body.on('end', this.#onEnd);
  }

  /** The carrier takes more. */
  drained(): void {
    this.#full = false;
    this.#flow();
  }

  #flow(): void {
    if (!this.finished && !this.#full && !this.#held) this.#request.body.resume();
  }

  /** Nobody wants the rest; the front end reads it away. */
  stop(): void {
    this.#request.body.off('data', this.#onData);
    this.#request.body.off('end', this.#onEnd);
    this.#request.body.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#share.run(() => {
      if (!this.#carrier.writeBody(chunk)) this.#full = true;
    });
    if (this.#full) this.#request.body.pause();
    if (!this.#share.isOver) return;
    this.#held = true;
    this.#request.body.pause();
    this.#share.enter(() => {
      this.#held = false;
      this.#flow();
    });
  };

  readonly #onEnd = (): void => {
    this.finished = true;
    this.#carrier.endBody(withoutReserved(this.#request.body.rawTrailers));
  };
}
