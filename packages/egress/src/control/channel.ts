import type { Socket } from 'node:net';

/** What a message may be checked by. */
export interface MessageShape<Message> {
  Check(value: unknown): value is Message;
}

export interface ChannelOptions<Incoming> {
  shape: MessageShape<Incoming>;
  /** Longest message, bytes; nobody is believed a longer one. */
  mostBytes: number;
  onMessage: (message: Incoming) => void;
  /** It cannot be used any more: it was closed, or said what is no message. */
  onEnd: (error?: Error) => void;
}

/** Messages over a socket, a line of JSON each. */
export class Channel<Incoming, Outgoing> {
  readonly #socket: Socket;
  readonly #options: ChannelOptions<Incoming>;
  readonly #pieces: Buffer[] = [];
  #heldBytes = 0;
  #isOver = false;

  constructor(socket: Socket, options: ChannelOptions<Incoming>) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (piece: Buffer) => this.#take(piece));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end());
  }

  /** Bytes that the other side has not taken yet. */
  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  send(message: Outgoing): void {
    if (!this.#isOver) this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  close(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  #take(piece: Buffer): void {
    let begin = 0;
    for (let end = piece.indexOf(0x0a); end !== -1 && !this.#isOver; end = piece.indexOf(0x0a, begin)) {
      this.#pieces.push(piece.subarray(begin, end));
      begin = end + 1;
      this.#heldBytes = 0;
      this.#read(Buffer.concat(this.#pieces.splice(0)).toString());
    }
    this.#pieces.push(piece.subarray(begin));
    this.#heldBytes += piece.length - begin;
    if (this.#heldBytes > this.#options.mostBytes) this.#end(new Error('a message without end'));
  }

  #read(line: string): void {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      this.#end(new Error('a message that is no JSON'));
      return;
    }
    if (this.#options.shape.Check(message)) this.#options.onMessage(message);
    else this.#end(new Error('a message of no known shape'));
  }

  #end(error?: Error): void {
    if (this.#isOver) return;
    this.close();
    this.#options.onEnd(error);
  }
}
