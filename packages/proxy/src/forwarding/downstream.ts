import type { RenderedError } from '../errors/render.ts';
import type { ResponseHead } from '../upstream/response-parser.ts';

/** The client's side of an exchange: takes the response in the client's own protocol version. */
export interface Downstream {
  /** The client is gone already. */
  readonly gone: boolean;
  /** Passes an interim response on, where the client's protocol has it. */
  writeInformation(head: ResponseHead): void;
  writeHead(head: ResponseHead): void;
  /** Gives false where the client should be waited for; `onDrain` tells when it took everything. */
  write(chunk: Buffer, last: boolean): boolean;
  end(trailers: string[]): void;
  /** Sends the head now, where nothing was sent yet. */
  flushHead(): void;
  /** Several writes follow at once. */
  cork(): void;
  uncork(): void;
  /** The response cannot be completed: lets the client see that what it got is not all. */
  abort(): void;
  /** An answer of the proxy's own, where no head was written yet. */
  sendError(error: RenderedError, bodyless: boolean): void;
  onDrain(listener: () => void): void;
  /** Called once when the client is gone before its response was complete. */
  onAbandoned(listener: () => void): void;
}
