import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type QmpMessage, QmpMessages } from './qmp-messages.ts';

/** QEMU refused a command, or went away before it had answered. */
export class QmpError extends Error {
  override readonly name = 'QmpError';
}

interface Pending {
  command: string;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  deadline: NodeJS.Timeout;
}

const CONNECT_POLL_MS = 1;

/** How long any command may take on a busy host: what takes longer ends in an event. Other work on the machine waits for it, its end too. */
const ANSWER_DEADLINE_MS = 60_000;

/** Events that are kept for who asks later. */
const KEPT_EVENTS = new Set(['RESUME', 'BLOCK_JOB_COMPLETED']);

/**
 * One session of the QEMU Machine Protocol over a Unix socket (docs/interop/qmp-spec of QEMU). QEMU serves one session at
 * a time, so a session is closed as soon as its work is done. What says something else, as a QEMU that was taken over may, loses the session.
 */
export class Qmp {
  /** Settles when the session has ended. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #pending: Pending[] = [];
  readonly #messages = new QmpMessages();
  readonly #events = new Map<string, Readonly<Record<string, unknown>>>();
  readonly #waiting = new Map<string, () => void>();
  readonly #listeners = new Map<string, () => void>();
  #over: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => {
      try {
        for (const message of this.#messages.take(bytes)) this.#hear(message);
      } catch (error) {
        socket.destroy(new QmpError('QEMU does not speak its protocol', { cause: error }));
      }
    });
    socket.on('error', (error) => this.#end(error));
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#end(new QmpError('QEMU closed its control socket'));
        resolve();
      });
    });
  }

  /** Connects as soon as QEMU listens. @throws Error where `isAlive` turns false, or `deadlineMs` pass, before it listens or before it answers then. */
  static async connect(path: string, deadlineMs: number, isAlive: () => boolean): Promise<Qmp> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      let qmp: Qmp | undefined;
      try {
        qmp = new Qmp(await connected(path));
        // Answers come in the order of the commands, so the greeting needs no handling of its own.
        await qmp.execute('qmp_capabilities', undefined, deadlineMs);
        return qmp;
      } catch (error) {
        qmp?.close();
        if (!isAlive()) throw new QmpError('QEMU ended', { cause: error });
        if (performance.now() > deadline) {
          throw new QmpError(`QEMU does not answer within ${deadlineMs} ms`, { cause: error });
        }
        await sleep(CONNECT_POLL_MS);
      }
    }
  }

  /** What QEMU answers, to be read by who asks (`qmp-answers.ts`). @throws QmpError with what QEMU said. If it says nothing within `deadlineMs`, the session is over. */
  execute(
    command: string,
    args?: Record<string, unknown>,
    deadlineMs = ANSWER_DEADLINE_MS,
  ): Promise<unknown> {
    if (this.#over) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.#socket.destroy(new QmpError(`QEMU does not answer to ${command} within ${deadlineMs} ms`));
      }, deadlineMs).unref();
      this.#pending.push({ command, resolve, reject, deadline });
      this.#socket.write(`${JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}) })}\n`);
    });
  }

  /** Data of one of `KEPT_EVENTS`, of one that has come already since the session began too. @throws QmpError */
  async event(name: string, timeoutMs: number): Promise<Readonly<Record<string, unknown>>> {
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

  #hear(message: QmpMessage): void {
    switch (message.kind) {
      case 'event':
        if (KEPT_EVENTS.has(message.name)) this.#events.set(message.name, message.data);
        this.#waiting.get(message.name)?.();
        this.#listeners.get(message.name)?.();
        return;
      case 'failure': {
        const pending = this.#answered();
        pending.reject(new QmpError(`${pending.command}: ${message.description}`));
        return;
      }
      case 'answer':
        this.#answered().resolve(message.value);
        return;
      case 'other':
        return;
    }
  }

  #answered(): Pending {
    const pending = this.#pending.shift();
    if (!pending) throw new RangeError('an answer to nothing');
    clearTimeout(pending.deadline);
    return pending;
  }

  #end(error: Error): void {
    this.#over ??= error;
    for (const pending of this.#pending.splice(0)) {
      clearTimeout(pending.deadline);
      pending.reject(this.#over);
    }
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
