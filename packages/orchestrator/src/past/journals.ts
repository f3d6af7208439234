import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { orchestratorProto, pauseFor, type Sandbox } from '@islet/contracts';
import type { LogSink } from '@islet/sinks';
import type { Logger } from '@islet/telemetry';
import { EnvdAnswerError, type JournalLine } from '../envd/answers.ts';
import { Budget } from '../envd/budget.ts';
import { tokenHeader } from '../envd/client.ts';
import { EnvdConnection } from '../envd/connection.ts';
import type { SandboxEvent } from '../sandbox/events.ts';
import { JournalLines } from './journal-lines.ts';

const { SandboxState } = orchestratorProto;

/** Bytes of a sandbox's journal that are taken over: what it writes faster waits in the sandbox, which keeps the newest. */
const RATE = { burst: 512 * 1024, perSecond: 64 * 1024 };
/** What a record, and each piece that comes, costs beside its bytes: some 100 a second and no more. */
const RECORD_COST = 256;

/** ms to the next try after a stream broke off; twice as many after each further one. */
const AGAIN_MS = { least: 1_000, most: 300_000 };

/** Before a stream is opened, ms: who asked for the sandbox has the answer by then. */
const OPEN_AFTER_MS = 20;

/** How long a sandbox that is being saved has to answer a stream that is being opened, ms; its pause waits longer for connections. */
const ANSWER_MS = 5_000;

/** How long the reader of logs waits for a stream that is only just being opened, ms. */
const CATCH_UP_MS = 1_000;

export interface JournalsOptions {
  logs: LogSink;
  /** Unix ms. */
  now: () => number;
  logger: Logger;
}

/**
 * Takes over what sandboxes tell their owners of themselves. Each running sandbox's envd sends its records when they come to be,
 * so nobody has to ask for the last ones when it ends.
 */
export class Journals {
  readonly #options: JournalsOptions;
  readonly #streams = new Map<string, JournalStream>();
  /** Where each sandbox's journal was read up to; kept while it is paused. */
  readonly #cursors = new Map<string, number>();

  constructor(options: JournalsOptions) {
    this.#options = options;
  }

  /**
   * Reads the journals of sandboxes as long as they run, until `events` end. A sandbox that is being saved is left, since an open
   * connection keeps it from that.
   * @param known sandboxes that lived before the events began
   */
  async follow(known: readonly Sandbox[], events: AsyncIterable<SandboxEvent>): Promise<void> {
    for (const sandbox of known) this.#see(sandbox);
    for await (const event of events) {
      if (event.kind === 'changed') this.#see(event.sandbox);
      else this.#forget(event.sandbox);
    }
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
  }

  /** Waits until what a running sandbox had written before is taken over, for a moment where it does not answer. */
  async caughtUp(sandboxId: string): Promise<void> {
    await this.#streams.get(sandboxId)?.caughtUp();
  }

  #see(sandbox: Sandbox): void {
    const { config, state, executionId } = sandbox;
    // Until it has ended, its last records come.
    if (state === SandboxState.KILLING) return;
    const { sandboxId } = config;
    const stream = this.#streams.get(sandboxId);
    const runs = state === SandboxState.RUNNING;
    if (stream && (!runs || stream.executionId !== executionId)) {
      this.#streams.delete(sandboxId);
      setImmediate(() => stream.leave()); // What has come already is still read.
    }
    if (!runs || this.#streams.has(sandboxId)) return;
    const cursor = {
      get: () => this.#cursors.get(sandboxId),
      set: (next: number) => this.#cursors.set(sandboxId, next),
    };
    this.#streams.set(sandboxId, new JournalStream({ ...this.#options, sandbox, cursor }));
  }

  #forget({ config }: Sandbox): void {
    const { sandboxId } = config;
    const stream = this.#streams.get(sandboxId);
    this.#streams.delete(sandboxId);
    setImmediate(() => {
      stream?.close();
      this.#cursors.delete(sandboxId);
    });
  }
}

interface StreamOptions extends JournalsOptions {
  sandbox: Sandbox;
  /** Undefined: nobody knows what was read before. */
  cursor: { get(): number | undefined; set(next: number): void };
}

/** One run's journal, read over a connection that is opened again when it breaks off. */
class JournalStream {
  readonly executionId: string;
  readonly #options: StreamOptions;
  readonly #budget = new Budget(RATE);
  readonly #stop = new AbortController();
  readonly #caughtUp: Promise<void>;
  #setCaughtUp = () => {};
  /** Set while an answer is on its way. */
  #asking: Promise<unknown> | undefined;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#caughtUp = new Promise((resolve) => {
      this.#setCaughtUp = resolve;
    });
    this.executionId = options.sandbox.executionId;
    void this.#keepReading();
  }

  close(): void {
    this.#stop.abort();
    this.#setCaughtUp();
  }

  /**
   * As `close`, for a sandbox that goes on: what has been asked of it is answered first. gVisor (release 20240729) cannot save one, and ends it,
   * if a connection was reset before the sandbox's own side of its handshake was over, and nobody outside sees whether it is.
   */
  leave(): void {
    const answered = this.#asking?.catch(() => undefined) ?? Promise.resolve();
    void Promise.race([answered, pauseFor(ANSWER_MS, this.#stop.signal)]).then(() => this.close());
  }

  async caughtUp(): Promise<void> {
    await Promise.race([this.#caughtUp, sleep(CATCH_UP_MS, undefined, { ref: false })]);
    await turn(); // What has come already is read.
  }

  async #keepReading(): Promise<void> {
    const { logger, sandbox } = this.#options;
    const { sandboxId } = sandbox.config;
    let againMs = AGAIN_MS.least;
    const pause = (ms: number) => pauseFor(ms, this.#stop.signal);
    await pause(OPEN_AFTER_MS);
    while (!this.#stop.signal.aborted) {
      const before = this.#options.cursor.get();
      await this.#read().catch((error: unknown) => {
        if (this.#stop.signal.aborted) return;
        logger.debug({ err: error, sandboxId }, 'a sandbox’s journal cannot be read');
      });
      this.#setCaughtUp();
      againMs = this.#options.cursor.get() === before ? Math.min(againMs * 2, AGAIN_MS.most) : AGAIN_MS.least;
      await pause(againMs);
    }
  }

  /** Reads until the stream ends, or the run does. @throws EnvdAnswerError if it is no journal. */
  async #read(): Promise<void> {
    const { sandbox, cursor } = this.#options;
    const connection = new EnvdConnection(sandbox.address);
    const end = () => connection.end();
    this.#stop.signal.addEventListener('abort', end, { once: true });
    try {
      const asking = connection.request({
        method: 'GET',
        path: `/journal?start=${cursor.get() ?? 0}`,
        headers: tokenHeader(sandbox.config.envdAccessToken),
        signal: this.#stop.signal,
      });
      this.#asking = asking;
      const answer = await asking.finally(() => {
        this.#asking = undefined;
      });
      if (answer.statusCode !== 200) {
        throw new EnvdAnswerError(`envd answers ${answer.statusCode} on /journal`);
      }
      const head = Number(answer.headers['x-journal-head']);
      const look = () => {
        if (!((cursor.get() ?? 0) < head)) this.#setCaughtUp();
      };
      look();
      const lines = new JournalLines();
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        let records = 0;
        for (const line of lines.take(chunk)) {
          this.#take(line);
          records++;
        }
        look();
        const cost = chunk.length + (1 + records) * RECORD_COST;
        connection.allow(cost);
        await this.#budget.spend(cost, this.#stop.signal);
      }
    } finally {
      this.#stop.signal.removeEventListener('abort', end);
      connection.end();
    }
  }

  /** Whose record it is and who says it is for the host to say; nothing in it is from the future. */
  #take({ seq, record }: JournalLine): void {
    const { sandbox, cursor, logs, now } = this.#options;
    const { sandboxId, teamId } = sandbox.config;
    const timeMs = Math.min(record.timeMs, now());
    const lost = seq - (cursor.get() ?? seq);
    cursor.set(seq + 1);
    if (lost > 0) {
      const message = `${lost} records were lost: they came faster than they are kept`;
      logs.record({ sandboxId, teamId, timeMs, level: 'warn', logger: 'envd', message, fields: {} });
    }
    logs.record({ ...record, sandboxId, teamId, timeMs });
  }
}
