import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { HostOutput } from '../hosts/host.ts';
import { lineOf } from './wire.ts';

/** How long a stream may be silent. */
const KEEPALIVE_MS = 5000;

/** The answer to an execution: a line of JSON for each output, as it comes. */
export class ExecutionStream {
  /** Aborted when the client is gone before the end. */
  readonly gone: AbortSignal;
  readonly #response: ServerResponse;
  readonly #keepalive: NodeJS.Timeout;

  constructor(response: ServerResponse) {
    const gone = new AbortController();
    this.gone = gone.signal;
    this.#response = response;
    this.#keepalive = setInterval(() => this.#keepAlive(), KEEPALIVE_MS);
    response.once('close', () => {
      clearInterval(this.#keepalive);
      if (!response.writableFinished) gone.abort();
    });
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' });
    // The SDK's time-out of a request is over when it has the head; the cells before this one may take longer.
    response.flushHeaders();
  }

  /** Resolves when more can be taken: a client that reads slowly makes the code wait. */
  async write(output: HostOutput): Promise<void> {
    if (this.#write(lineOf(output, new Date())) || this.gone.aborted) return;
    await once(this.#response, 'drain', { signal: this.gone }).catch(() => undefined);
  }

  end(): void {
    clearInterval(this.#keepalive);
    if (!this.gone.aborted) this.#response.end('{"type":"end_of_execution"}\n');
  }

  #write(line: string): boolean {
    if (this.gone.aborted) return true;
    this.#keepalive.refresh();
    return this.#response.write(line);
  }

  #keepAlive(): void {
    // To a client that does not read, nothing more is said.
    if (!this.#response.writableNeedDrain) this.#write('{"type":"keepalive"}\n');
  }
}
