import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** QEMU refused a command, or went away before it had answered. */
export class QmpError extends Error {
  override readonly name = 'QmpError';
}

interface Pending {
  command: string;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

interface QmpMessage {
  return?: unknown;
  error?: { class: string; desc: string };
  event?: string;
  data?: Record<string, unknown>;
}

const CONNECT_POLL_MS = 1;

/**
 * One session of the QEMU Machine Protocol over a Unix socket (docs/interop/qmp-spec of QEMU). QEMU serves one session at
 * a time, so a session is closed as soon as its work is done.
 */
export class Qmp {
  /** Settles when the session has ended. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #pending: Pending[] = [];
  readonly #events = new Map<string, Record<string, unknown>>();
  readonly #waiting = new Map<string, () => void>();
  readonly #listeners = new Map<string, () => void>();
  #buffered = '';
  #over: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', (error) => this.#end(error));
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#end(new QmpError('QEMU closed its control socket'));
        resolve();
      });
    });
  }

  /** Connects as soon as QEMU listens. @throws Error where `isAlive` turns false or `deadlineMs` pass before. */
  static async connect(path: string, deadlineMs: number, isAlive: () => boolean): Promise<Qmp> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      try {
        const qmp = new Qmp(await connected(path));
        // Answers come in the order of the commands, so the greeting needs no handling of its own.
        await qmp.execute('qmp_capabilities');
        return qmp;
      } catch (error) {
        if (!isAlive()) throw new QmpError('QEMU ended', { cause: error });
        if (performance.now() > deadline) {
          throw new QmpError(`QEMU does not answer within ${deadlineMs} ms`, { cause: error });
        }
        await sleep(CONNECT_POLL_MS);
      }
    }
  }

  /** @throws QmpError with what QEMU said. */
  execute(command: string, args?: Record<string, unknown>): Promise<unknown> {
    if (this.#over) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      this.#pending.push({ command, resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}) })}\n`);
    });
  }

  /** Data of an event, of one that has come already since the session began too. @throws QmpError */
  async event(name: string, timeoutMs: number): Promise<Record<string, unknown>> {
    const came = this.#events.get(name);
    if (came) return came;
    if (this.#over) throw this.#over;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => done(new QmpError(`QEMU has not come to ${name} within ${timeoutMs} ms`)),
        timeoutMs,
      );
      const done = (error?: Error) => {
        clearTimeout(timer);
        this.#waiting.delete(name);
        const data = this.#events.get(name);
        if (data) resolve(data);
        else reject(error ?? this.#over ?? new QmpError(`QEMU ended before ${name}`));
      };
      this.#waiting.set(name, () => done());
    });
  }

  /** Calls `listener` each time an event comes. */
  on(name: string, listener: () => void): void {
    this.#listeners.set(name, listener);
  }

  /** Lets this process end while the session is open. */
  unref(): void {
    this.#socket.unref();
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    const lines = (this.#buffered + text).split('\n');
    this.#buffered = lines.pop() ?? '';
    for (const line of lines) {
      const message = JSON.parse(line) as QmpMessage;
      if (message.event) {
        this.#events.set(message.event, message.data ?? {});
        this.#waiting.get(message.event)?.();
        this.#listeners.get(message.event)?.();
      } else if (message.error) {
        const pending = this.#pending.shift();
        pending?.reject(new QmpError(`${pending.command}: ${message.error.desc}`));
      } else if ('return' in message) {
        this.#pending.shift()?.resolve(message.return);
      }
    }
  }

  #end(error: Error): void {
    this.#over ??= error;
    for (const pending of this.#pending.splice(0)) pending.reject(this.#over);
    for (const wake of [...this.#waiting.values()]) wake();
  }
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}
