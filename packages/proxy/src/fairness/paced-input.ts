import type { Socket } from 'node:net';
import type { Share } from './turns.ts';

/** The first piece of a connection, bytes: an ordinary request's head, and not hundreds of requests. */
const FIRST_PIECE_BYTES = 1024;
const MIN_PIECE_BYTES = 512;
const MAX_PIECE_BYTES = 64 * 1024;

/** What a piece should take, ms. The next one is cut to that by what the last one took. */
const PIECE_MS = 0.2;

/** Who pays for what a connection brings. */
export interface Payers {
  /** Whoever the connection is known to be of. */
  known: () => Share | undefined;
  /** All those together that it may be of, until that is known. */
  stranger: Share;
}

/**
 * Hands what a connection's client sends to the connection's other readers in pieces, those of one go in turns of who
 * has to pay. A piece of 64 KiB may hold 10,000 chunks of a body or 1,000 requests, and the parser of Node.js cannot
 * be stopped in its middle; so it never gets such a piece at once. A body that costs little comes in large pieces.
 *
 * Works as streams do that have a listener for `readable`: whoever reads it decides how much that is, and those who
 * listen for `data` get that.
 */
export class PacedInput {
  readonly #socket: Socket;
  readonly #payers: Payers;
  readonly #pause: Socket['pause'];
  readonly #resume: Socket['resume'];
  #pieceBytes = FIRST_PIECE_BYTES;
  /** By whom listens for `data`. */
  #paused = false;
  #waiting = false;
  #detached = false;

  constructor(socket: Socket, payers: Payers) {
    this.#socket = socket;
    this.#payers = payers;
    this.#pause = socket.pause;
    this.#resume = socket.resume;
    // A stream that is read by its `readable` listener does not tell whether it was paused.
    socket.pause = () => {
      this.#paused = true;
      return this.#pause.call(socket);
    };
    socket.resume = () => {
      this.#paused = false;
      return this.#resume.call(socket);
    };
    socket.on('readable', this.#read);
    socket.on('resume', this.#read);
  }

  /** Lets the connection flow as others do from now on. What was not handed over yet comes first. */
  detach(): void {
    if (this.#detached) return;
    this.#detached = true;
    const socket = this.#socket;
    socket.pause = this.#pause;
    socket.resume = this.#resume;
    socket.off('readable', this.#read);
    socket.off('resume', this.#read);
  }

  readonly #read = (): void => this.#readOn(false);

  /** @param isItsTurn it has waited for this: the first piece is read whoever else waits. */
  #readOn(isItsTurn: boolean): void {
    for (let pieces = 0; !this.#waiting && !this.#paused && !this.#detached; pieces++) {
      const { readableLength } = this.#socket;
      if (readableLength === 0) {
        // Asks for more, or for the end.
        this.#socket.read();
        return;
      }
      const known = this.#payers.known();
      const share = known ?? this.#payers.stranger;
      // One piece of a stranger's does not wait behind others of the same address, which may be a proxy's.
      const waitsForNobody = pieces === 0 && (isItsTurn || !known);
      if (share.isOver && !waitsForNobody) {
        this.#waiting = true;
        share.enter(() => {
          this.#waiting = false;
          this.#readOn(true);
        });
        return;
      }
      const bytes = Math.min(this.#pieceBytes, readableLength);
      const ms = share.run(() => void this.#socket.read(bytes));
      this.#fit(bytes, ms);
    }
  }

  #fit(bytes: number, ms: number): void {
    const fitting = ms > PIECE_MS ? (bytes * PIECE_MS) / ms : this.#pieceBytes * 2;
    this.#pieceBytes = Math.round(Math.min(MAX_PIECE_BYTES, Math.max(MIN_PIECE_BYTES, fitting)));
  }
}
