import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ReadRequest } from './recorder.ts';

const SCRIPT = fileURLToPath(new URL('./python_reader.py', import.meta.url));

/** Reads requests as Python's http.server does, in a process of its own. */
export class PythonReader {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #lines: Interface;

  constructor() {
    this.#child = spawn('python3', [SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] });
    if (!this.#child.stdout) throw new Error('python3 has no output');
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** The requests in each of the given byte strings. A last one that is not complete is left out. */
  async read(all: readonly Buffer[]): Promise<ReadRequest[][]> {
    const texts = all.map((bytes) => bytes.toString('base64'));
    this.#child.stdin?.write(`${JSON.stringify(texts)}\n`);
    const { value, done } = await this.#answers.next();
    if (done) throw new Error('python3 ended');
    return JSON.parse(value);
  }

  [Symbol.dispose](): void {
    this.#lines.close();
    this.#child.kill();
  }
}
