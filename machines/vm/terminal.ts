import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { Deadline } from '@islet/contracts';
import { CommandError } from '../process/run.ts';

/** The end of what a terminal showed that is kept. */
const KEPT_CHARACTERS = 200_000;

export interface Patience {
  signal: AbortSignal;
  timeoutMs: number;
}

/** A program at a terminal of a machine. */
export class Terminal implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #news = new EventEmitter();
  #seen = '';
  #status: number | string | undefined;

  constructor(child: ChildProcess, onOutput: (text: string) => void) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        onOutput(plain(text));
        this.#seen = plain(this.#seen + text).slice(-KEPT_CHARACTERS);
        this.#news.emit('news');
      });
    }
    // Typing at a program that has ended says nothing; its end does.
    child.stdin?.on('error', () => {});
    const ended = (status: number | string) => {
      this.#status ??= status;
      this.#news.emit('news');
    };
    child.once('error', (error) => ended(error.message));
    child.once('close', (code, signal) => ended(code ?? signal ?? 'unknown'));
  }

  /** What the program wrote so far, without what only steers a terminal. */
  get output(): string {
    return this.#seen;
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** @throws CommandError if the program ends before, or nothing matches in time */
  async waitFor(pattern: RegExp, patience: Patience): Promise<RegExpExecArray> {
    const find = () => pattern.exec(this.#seen) ?? undefined;
    const match = await this.#until(() => find() !== undefined || this.#status !== undefined, patience).then(
      find,
    );
    if (match) return match;
    throw new CommandError(`${pattern} never came: the program ended with ${this.#status}:\n${this.#seen}`);
  }

  /** @returns the exit status. @throws CommandError if the program does not end in time */
  async end(patience: Patience): Promise<number | string | undefined> {
    await this.#until(() => this.#status !== undefined, patience);
    return this.#status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#status !== undefined) return;
    this.#child.kill('SIGKILL');
    while (this.#status === undefined) await once(this.#news, 'news');
  }

  async #until(isSo: () => boolean, { signal, timeoutMs }: Patience): Promise<void> {
    using deadline = new Deadline(timeoutMs, signal);
    while (!isSo()) {
      try {
        await once(this.#news, 'news', { signal: deadline.signal });
      } catch (error) {
        signal.throwIfAborted();
        throw new CommandError(`nothing of that within ${timeoutMs / 1000} s:\n${this.#seen}`, {
          cause: error,
        });
      }
    }
  }
}

/** Without colours and movements of the cursor, and with line ends as files have them. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those of terminals
  return text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '').replaceAll('\r\n', '\n');
}
