import type { RenderedError } from '../errors/render.ts';
import type { ResponseHead } from '../upstream/response-head.ts';

/**
 * Bytes that may wait to be written to one side before the other is read no further: one piece as it is read. It is more
 * than the 16 KiB at which streams ask to pause, since the kernel takes most pieces at once and pausing after each costs
 * a turn of the event loop. A run with all its places held up keeps some 128 MiB in each direction.
 */
export const MAX_BACKLOG_BYTES = 64 * 1024;

/** The client's side of an exchange: takes the response in the client's own protocol version. */
export interface Downstream {
  /** The client is gone already. */
  readonly gone: boolean;
  /** Passes an interim response on if the client's protocol has it. Gives false as `write` does. */
  writeInformation(head: ResponseHead): boolean;
  /** The body that follows has to be framed as the head says: exactly `length` bytes if it has a length. */
  writeHead(head: ResponseHead): void;
  /** Gives false if the client lags behind by more than the backlog; `onDrain` tells when it took everything. */
  write(chunk: Buffer, last: boolean): boolean;
  /** Every byte that the head announced was written. */
  end(trailers: string[]): void;
  /** Sends the head now, if nothing was sent yet. */
  flushHead(): void;
  /** Several writes follow at once. */
  cork(): void;
  uncork(): void;
  /** The response cannot be completed: lets the client see, behind everything that was written, that it is not all. */
  abort(): void;
  /** An answer of the proxy's own, where no head was written yet. */
  sendError(error: RenderedError, bodyless: boolean): void;
  onDrain(listener: () => void): void;
  /** Called once when nothing more happens here: `whole` if the client took all of its response, else it is gone. */
  onClosed(listener: (whole: boolean) => void): void;
}
