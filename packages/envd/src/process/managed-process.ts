import type { Descriptors, WindowSize } from '../native/descriptors.ts';
import { endOf, exitedWith, type ProcessEnd } from './end.ts';
import type { LaunchedIo } from './launch.ts';
import { type Input, type Output, readPipe, TerminalIo, writePipe } from './output.ts';
import type { Reaper } from './reaper.ts';
import { hangUpSession, tellSessionOfResize } from './session.ts';
import { type OutputKind, type ProcessEvent, Subscription } from './subscription.ts';

/** Why a request cannot be served by this process. */
export class ProcessStateError extends Error {
  readonly reason: 'internal' | 'unknown' | 'not_found';

  constructor(reason: 'internal' | 'unknown' | 'not_found', message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ProcessStateError';
    this.reason = reason;
  }
}

/** What a client told about a process when it started it; `List` shows it again. */
export interface ProcessConfig {
  cmd: string;
  args: string[];
  envs: Record<string, string>;
  cwd?: string;
}

/** How long output that is already in the pipes may still come after a process was killed. */
const KILLED_GRACE_MS = 50;

interface Identity {
  pid: number;
  tag: string | undefined;
  config: ProcessConfig;
}

/**
 * A process that envd started. It is over (`end` is set) when it has exited and all its output was read: a background
 * child that keeps the output open keeps it alive, unless a signal or a deadline asked for its death.
 */
export class ManagedProcess {
  readonly pid: number;
  readonly tag: string | undefined;
  readonly config: ProcessConfig;
  readonly #descriptors: Descriptors | undefined;
  readonly #subscriptions = new Set<Subscription>();
  readonly #outputs = new Set<Output>();
  readonly #endListeners: ((end: ProcessEnd) => void)[] = [];
  #terminal: { io: TerminalIo; master: number } | undefined;
  #stdin: Input | undefined;
  #exit: ProcessEnd | undefined;
  #end: ProcessEnd | undefined;
  #killed = false;
  #paused = false;
  #graceTimer: NodeJS.Timeout | undefined;

  private constructor(identity: Identity, descriptors: Descriptors | undefined) {
    this.pid = identity.pid;
    this.tag = identity.tag;
    this.config = identity.config;
    this.#descriptors = descriptors;
  }

  /** Takes over a process that was started in this same turn of the event loop. */
  static running(
    identity: Identity,
    io: LaunchedIo,
    tools: { descriptors: Descriptors; reaper: Reaper },
  ): ManagedProcess {
    const process = new ManagedProcess(identity, tools.descriptors);
    process.#attach(io);
    tools.reaper.expect(identity.pid, (child) => process.#onExit(endOf(child)));
    return process;
  }

  /** Stands for a program that could not be executed: says so on stderr and ends, as a shell would. */
  static failed(identity: Identity, exitCode: number, stderr: string): ManagedProcess {
    const process = new ManagedProcess(identity, undefined);
    setImmediate(() => {
      process.#publish({ type: 'data', kind: 'stderr', bytes: Buffer.from(stderr) });
      process.#onExit(exitedWith(exitCode));
    });
    return process;
  }

  get isTerminal(): boolean {
    return this.#terminal !== undefined;
  }

  get end(): ProcessEnd | undefined {
    return this.#end;
  }

  onEnd(listener: (end: ProcessEnd) => void): void {
    if (this.#end) listener(this.#end);
    else this.#endListeners.push(listener);
  }

  /** Output and end from now on; of a process that is over, only its end. */
  subscribe(keepaliveMs: number): Subscription {
    const subscription: Subscription = new Subscription({
      keepaliveMs,
      onDrain: () => this.#balance(),
      onClose: () => {
        this.#subscriptions.delete(subscription);
        this.#balance();
      },
    });
    if (this.#end) {
      subscription.push({ type: 'end', end: this.#end });
      subscription.close();
    } else this.#subscriptions.add(subscription);
    return subscription;
  }

  /** Writes to the process; resolves when the kernel has taken it. */
  async write(kind: 'stdin' | 'pty', bytes: Uint8Array): Promise<void> {
    if (kind === 'stdin' && this.#terminal) {
      throw new ProcessStateError('internal', 'tty assigned to process, input must be sent to the pty');
    }
    if (kind === 'pty' && !this.#terminal) {
      throw new ProcessStateError('internal', 'tty not assigned to process');
    }
    const input = this.#terminal?.io ?? this.#stdin;
    if (!input) throw new ProcessStateError('internal', 'stdin not enabled or closed');
    try {
      await input.write(bytes);
    } catch (error) {
      throw new ProcessStateError('internal', `error writing to ${kind}: ${(error as Error).message}`, error);
    }
  }

  /** Lets the process read EOF. Once or many times. */
  closeStdin(): void {
    if (this.#terminal) {
      throw new ProcessStateError('unknown', 'cannot close stdin for PTY process, send Ctrl+D to it instead');
    }
    this.#stdin?.close();
    this.#stdin = undefined;
  }

  resize(size: WindowSize): void {
    if (!this.#terminal || !this.#descriptors) {
      throw new ProcessStateError('internal', 'tty not assigned to process');
    }
    if (this.#end) throw new ProcessStateError('not_found', `process with pid ${this.pid} not found`);
    this.#descriptors.resizeTerminal(this.#terminal.master, size);
    tellSessionOfResize(this.pid);
  }

  /** Asks for the death of the process itself, not of its group. From then on its pipes are not waited for. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.#end) throw new ProcessStateError('not_found', `process with pid ${this.pid} not found`);
    this.#killed = true;
    if (this.#exit) {
      this.#finishSoon();
      return;
    }
    try {
      process.kill(this.pid, signal);
    } catch (error) {
      throw new ProcessStateError('internal', `error sending signal: ${(error as Error).message}`, error);
    }
  }

  #attach(io: LaunchedIo): void {
    const listen = (open: (listener: { onData: OutputData; onEnd: () => void }) => Output): Output => {
      const output = open({
        onData: (kind, bytes) => this.#publish({ type: 'data', kind, bytes }),
        onEnd: () => {
          this.#outputs.delete(output);
          this.#finishIfDone();
        },
      });
      this.#outputs.add(output);
      return output;
    };
    if (io.kind === 'none') return;
    if (io.kind === 'terminal') {
      const terminal = listen((listener) => new TerminalIo(io.master, listener)) as TerminalIo;
      this.#terminal = { io: terminal, master: io.master };
      return;
    }
    listen((listener) => readPipe(io.stdout, 'stdout', listener));
    listen((listener) => readPipe(io.stderr, 'stderr', listener));
    if (io.stdin !== undefined) this.#stdin = writePipe(io.stdin);
  }

  #publish(event: ProcessEvent): void {
    for (const subscription of this.#subscriptions) subscription.push(event);
    this.#balance();
  }

  /** The slowest subscriber sets the pace: the kernel's pipe fills up and the process waits. */
  #balance(): void {
    const full = [...this.#subscriptions].some((subscription) => subscription.full);
    if (full === this.#paused) return;
    this.#paused = full;
    for (const output of this.#outputs) {
      if (full) output.pause();
      else output.resume();
    }
  }

  #onExit(exit: ProcessEnd): void {
    this.#exit = exit;
    this.#stdin?.close();
    this.#stdin = undefined;
    if (this.#killed) {
      if (this.#terminal) hangUpSession(this.pid);
      this.#finishSoon();
    }
    this.#finishIfDone();
  }

  #finishSoon(): void {
    this.#graceTimer ??= setTimeout(() => {
      for (const output of [...this.#outputs]) output.close();
    }, KILLED_GRACE_MS);
  }

  #finishIfDone(): void {
    if (!this.#exit || this.#outputs.size > 0 || this.#end) return;
    clearTimeout(this.#graceTimer);
    this.#end = this.#exit;
    this.#publish({ type: 'end', end: this.#exit });
    for (const subscription of [...this.#subscriptions]) subscription.close();
    for (const listener of this.#endListeners.splice(0)) listener(this.#exit);
  }
}

type OutputData = (kind: OutputKind, bytes: Uint8Array) => void;
