import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import {
  type Cell,
  type Emit,
  type HostEnd,
  HostEndedError,
  type HostOutput,
  type HostStart,
  HostStartError,
  type LanguageHost,
} from '../host.ts';
import { FrameReader, frameOf } from './frames.ts';
import { type ExecuteMessage, MAX_MESSAGE_BYTES, type Message, parseMessage } from './messages.ts';
import { type OutputPipe, type OutputPipes, openOutputPipes } from './pipes.ts';

/** Of what is written between cells, the last so many characters are shown with the next one. */
const KEPT_BETWEEN_CELLS = 64 * 1024;
/** How long the last words of a process that has ended may take. */
const LAST_WORDS_MS = 1000;

export interface ProcessHostOptions {
  command: string;
  args: string[];
  /** How long the process may take until it is ready, ms. */
  startMs: number;
  /** How it is told a cell; absent: as a frame of JSON. */
  encode?: (message: ExecuteMessage) => Buffer;
  /** It is told of an interrupt also by a message, since it may not hear the signal. */
  hearsInterrupts?: boolean;
}

interface Running {
  emit: Emit;
  resolve: () => void;
  reject: (error: Error) => void;
}

/**
 * A host that is a process of its own and speaks the protocol of `messages.ts`: SIGINT ends its cell, SIGURG reseeds. It
 * leads a process group, and what is still in it goes with the host.
 *
 * Everything that comes out of it is handled one after the other in `#inOrder`, whichever way it came: while a client is
 * slow, nothing is read, and the process waits on its full pipe.
 */
export class ProcessHost implements LanguageHost {
  readonly ended: Promise<HostEnd>;
  readonly #options: ProcessHostOptions;
  readonly #frames = new FrameReader(MAX_MESSAGE_BYTES);
  readonly #resolveEnded: (end: HostEnd) => void;
  #inOrder: Promise<void> = Promise.resolve();
  #pipes: OutputPipes | undefined;
  #child: ChildProcess | undefined;
  #channel: Duplex | undefined;
  #ready: (() => void) | undefined;
  #running: Running | undefined;
  #betweenCells: Array<{ type: 'stdout' | 'stderr'; text: string }> = [];
  #reseed = false;
  /** Why it was ended from here. */
  #reason: string | undefined;
  #end: HostEnd | undefined;

  constructor(options: ProcessHostOptions) {
    this.#options = options;
    let resolveEnded: (end: HostEnd) => void = () => undefined;
    this.ended = new Promise((resolve) => {
      resolveEnded = resolve;
    });
    this.#resolveEnded = resolveEnded;
  }

  async start({ cwd, env }: HostStart): Promise<void> {
    const directory = await stat(cwd).catch(() => undefined);
    if (!directory?.isDirectory()) throw new HostStartError(`The working directory ${cwd} does not exist`);
    const pipes = await openOutputPipes();
    this.#pipes = pipes;
    const { command, args, startMs } = this.#options;
    const child = spawn(command, args, {
      cwd,
      env,
      detached: true,
      stdio: ['ignore', pipes.stdout.writer, pipes.stderr.writer, 'pipe'],
    });
    this.#child = child;
    pipes.stdout.closeWriter();
    pipes.stderr.closeWriter();
    const failed = new Promise<never>((_resolve, reject) => child.once('error', reject));
    child.once('exit', (code, signal) => this.#onExit({ code, signal }));
    const ready = new Promise<void>((resolve) => {
      this.#ready = resolve;
    });
    this.#listen(child.stdio[3] as Duplex, pipes);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`not ready after ${startMs} ms`)), startMs);
    });
    try {
      await Promise.race([ready, failed, late, this.ended.then(endedEarly)]);
    } catch (cause) {
      await this.close();
      const said = this.#betweenCells.map(({ text }) => text).join('');
      throw new HostStartError(
        `${command} could not be started: ${(cause as Error).message}\n${said}`.trim(),
        { cause },
      );
    } finally {
      clearTimeout(timer);
    }
  }

  async execute(cell: Cell, emit: Emit): Promise<void> {
    if (this.#running) throw new Error('a cell runs already');
    if (this.#end) throw new HostEndedError(this.#end);
    await new Promise<void>((resolve, reject) => {
      this.#enqueue(async () => {
        // They are for a client.
        if (!cell.isRehearsal) for (const output of this.#betweenCells.splice(0)) await emit(output);
        this.#running = { emit, resolve, reject };
        if (this.#end) return this.#settle(new HostEndedError(this.#end));
        const message: ExecuteMessage = { type: 'execute', ...cell, reseed: this.#reseed };
        this.#reseed = false;
        this.#channel?.write((this.#options.encode ?? frameOf)(message));
      });
    });
  }

  async interrupt(): Promise<void> {
    if (!this.#running) return;
    this.#signal('SIGINT');
    if (this.#options.hearsInterrupts) this.#channel?.write(frameOf({ type: 'interrupt' }));
  }

  async reseed(): Promise<void> {
    // The signal reaches a cell that runs; the flag makes sure that the next one does not begin before.
    this.#reseed = true;
    this.#child?.kill('SIGURG');
  }

  get processGroup(): number | undefined {
    return this.#end ? undefined : this.#child?.pid;
  }

  async close(reason?: string): Promise<void> {
    if (!this.#end) this.#reason ??= reason;
    if (!this.#child?.pid) {
      this.#finish({ code: null, signal: null });
      return;
    }
    this.#signal('SIGKILL');
    await this.ended;
  }

  #listen(channel: Duplex, pipes: OutputPipes): void {
    this.#channel = channel;
    channel.on('error', () => undefined);
    channel.on('readable', () => this.#enqueue(() => this.#readMessages(channel)));
    pipes.stdout.onReadable(() => this.#enqueue(() => this.#relay('stdout', pipes.stdout)));
    pipes.stderr.onReadable(() => this.#enqueue(() => this.#relay('stderr', pipes.stderr)));
  }

  #enqueue(step: () => Promise<void> | void): void {
    this.#inOrder = this.#inOrder.then(step).catch((error: unknown) => {
      // Nothing else of what it says can be trusted. Its cell is over when the process has ended.
      this.#reason ??= (error as Error).message;
      this.#signal('SIGKILL');
    });
  }

  async #readMessages(channel: Duplex): Promise<void> {
    for (let chunk: Buffer | null = channel.read(); chunk !== null; chunk = channel.read()) {
      this.#frames.push(chunk);
      for (let json = this.#frames.next(); json !== undefined; json = this.#frames.next()) {
        await this.#handle(parseMessage(json));
      }
    }
  }

  async #handle(message: Message): Promise<void> {
    if (message.type === 'ready') return this.#ready?.();
    // What was written before it, and only then the message.
    if (this.#pipes && message.type !== 'count') await this.#relayAll(this.#pipes);
    if (message.type === 'done') return this.#settle();
    await this.#put(message);
  }

  async #relay(type: 'stdout' | 'stderr', pipe: OutputPipe): Promise<void> {
    for (let text = pipe.read(); text !== undefined; text = pipe.read()) await this.#put({ type, text });
  }

  async #relayAll(pipes: OutputPipes): Promise<void> {
    for (const type of ['stdout', 'stderr'] as const) {
      for (const text of pipes[type].readAll()) await this.#put({ type, text });
    }
  }

  async #put(output: HostOutput): Promise<void> {
    if ((output.type === 'stdout' || output.type === 'stderr') && output.text === '') return;
    if (this.#running) await this.#running.emit(output);
    else if (output.type === 'stdout' || output.type === 'stderr') this.#keep(output);
  }

  #keep(output: { type: 'stdout' | 'stderr'; text: string }): void {
    const kept = this.#betweenCells;
    const last = kept.at(-1);
    if (last?.type === output.type) last.text += output.text;
    else kept.push({ ...output });
    let over = kept.reduce((sum, { text }) => sum + text.length, 0) - KEPT_BETWEEN_CELLS;
    while (over > 0) {
      const first = kept[0] as { text: string };
      const cut = Math.min(over, first.text.length);
      first.text = first.text.slice(cut);
      if (first.text === '') kept.shift();
      over -= cut;
    }
  }

  #settle(error?: Error): void {
    const running = this.#running;
    this.#running = undefined;
    if (error) running?.reject(error);
    else running?.resolve();
  }

  /** To the whole group, as a terminal does: the cell may wait for a child. */
  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined || this.#end) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It is gone.
    }
  }

  async #onExit(end: HostEnd): Promise<void> {
    // What it started goes with it; and would keep its channel open.
    this.#signal('SIGKILL');
    const channel = this.#channel;
    if (channel && !channel.closed) await within(LAST_WORDS_MS, once(channel, 'close'));
    this.#enqueue(async () => {
      if (this.#pipes) await this.#relayAll(this.#pipes);
    });
    await this.#inOrder;
    this.#finish(this.#reason === undefined ? end : { ...end, reason: this.#reason });
  }

  #finish(end: HostEnd): void {
    if (this.#end) return;
    this.#end = end;
    this.#settle(new HostEndedError(end));
    this.#channel?.destroy();
    this.#pipes?.stdout.close();
    this.#pipes?.stderr.close();
    this.#resolveEnded(end);
  }
}

/** Waits no longer than that. */
async function within(ms: number, event: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const time = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([event, time]).finally(() => clearTimeout(timer));
}

function endedEarly({ code, signal }: HostEnd): never {
  throw new Error(`it ended by ${signal ?? `exit code ${code}`}`);
}
