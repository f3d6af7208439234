import { EnvdAnswerError, type JournalLine, parseJournalLine } from '../envd/answers.ts';

/** Characters; the longest record of an honest envd has some 16,000, all of them escaped. */
const MAX_LINE = 32 * 1024;

/** Reads the stream of records that a sandbox's journal is, in whatever pieces it comes. */
export class JournalLines {
  readonly #text = new TextDecoder();
  #rest = '';

  /** The records that end in this piece, one by one. @throws EnvdAnswerError if it is no journal, when the records before were given. */
  *take(chunk: Uint8Array): Generator<JournalLine> {
    const lines = (this.#rest + this.#text.decode(chunk, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.length > MAX_LINE) throw endless();
      yield parseJournalLine(line);
    }
    if (this.#rest.length > MAX_LINE) throw endless();
  }
}

function endless(): EnvdAnswerError {
  return new EnvdAnswerError('a record of its journal has no end');
}
