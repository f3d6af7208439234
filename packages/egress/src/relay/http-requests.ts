import { AnswerWatch } from '../sniff/answer-watch.ts';
import type { RequestHead } from '../sniff/request-head.ts';
import type { RequestStream } from '../sniff/request-stream.ts';
import { HEAD_MS } from './first-read.ts';

/** What is done with a request, or with what is none. `opaque`: with all that follows, too, unread. */
export type RequestFate = 'pass' | 'opaque' | 'cut';

export interface HttpRequestsOptions {
  stream: RequestStream;
  /** The first request's fate was decided already. */
  first: { bytes: Buffer; head: RequestHead };
  judge: (head: RequestHead) => RequestFate;
  /** What servers could disagree about, or is no HTTP. */
  judgeBroken: () => 'opaque' | 'cut';
  /** False if it takes no more for now. */
  send: (bytes: Buffer) => boolean;
  cut: () => void;
}

/**
 * The requests of a client on one connection, each of which is judged before its first byte is passed on.
 *
 * A protocol that the server has changed to, such as WebSocket, is passed on unread. Only the first request may ask for one:
 * which answer belongs to a later one would take a reader of answers.
 */
export class HttpRequests {
  readonly #options: HttpRequestsOptions;
  #watch: AnswerWatch | undefined;
  #isOpaque = false;
  #isCut = false;
  #headTimer: NodeJS.Timeout | undefined;

  constructor(options: HttpRequestsOptions) {
    this.#options = options;
  }

  /** Sends the first request. False if no more may be given for now. */
  begin(): boolean {
    const { bytes, head } = this.#options.first;
    const goesOn = this.#options.send(bytes);
    if (head.asksForUpgrade) this.#watch = new AnswerWatch();
    return this.#forward() && goesOn;
  }

  /** Takes a piece of what the client sends. False if no more may be given for now. */
  take(piece: Buffer): boolean {
    if (this.#isOpaque) return this.#options.send(piece);
    this.#options.stream.push(piece);
    return this.#forward();
  }

  /** Looks at what the server sends. True if what was held has gone on, so that more may be given. */
  look(piece: Buffer): boolean {
    const answer = this.#watch?.push(piece) ?? 'more';
    if (answer === 'more') return false;
    this.#watch = undefined;
    if (answer === 'switched') return this.#passUnread();
    return this.#forward();
  }

  /** No more comes. */
  end(): void {
    clearTimeout(this.#headTimer);
  }

  #forward(): boolean {
    let goesOn = true;
    // What follows an upgrade is not told apart before it is answered.
    while (!this.#watch && !this.#isOpaque && !this.#isCut) {
      const part = this.#options.stream.next();
      if (!part) break;
      const fate = part.is === 'body' ? 'pass' : this.#judge(part);
      if (fate === 'cut') return this.#cut();
      goesOn = this.#options.send(part.bytes) && goesOn;
      if (fate === 'opaque') goesOn = this.#passUnread() && goesOn;
    }
    this.#boundHead();
    return goesOn && !this.#watch && !this.#isCut;
  }

  #judge(part: { is: 'head'; head: RequestHead } | { is: 'broken' }): RequestFate {
    return part.is === 'head' ? this.#options.judge(part.head) : this.#options.judgeBroken();
  }

  #passUnread(): boolean {
    this.#isOpaque = true;
    const { held } = this.#options.stream;
    return held.length === 0 || this.#options.send(held);
  }

  #boundHead(): void {
    if (!this.#options.stream.isWithinHead || this.#isOpaque || this.#watch) {
      clearTimeout(this.#headTimer);
      this.#headTimer = undefined;
    } else this.#headTimer ??= setTimeout(() => this.#cut(), HEAD_MS);
  }

  #cut(): false {
    this.#isCut = true;
    clearTimeout(this.#headTimer);
    this.#options.cut();
    return false;
  }
}
