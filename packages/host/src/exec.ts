import { closeSync, fstatSync, readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { openSpawner, type Spawner, type StartedProgram } from './spawner.ts';

/** Of what a command says on stderr: an error's first lines tell, the rest is stack traces. */
const STDERR_LIMIT = 4096;

/** A host command failed, timed out or could not be started. The message holds what the command itself said. */
export class CommandError extends Error {
  readonly command: string;
  readonly exitCode: number | null;
  readonly output: string;

  constructor(command: string, reason: string, exitCode: number | null, output: string, cause?: unknown) {
    super(`${command}: ${reason}${output ? `: ${output}` : ''}`, cause === undefined ? undefined : { cause });
    this.name = 'CommandError';
    this.command = command;
    this.exitCode = exitCode;
    this.output = output;
  }
}

export interface ExecOptions {
  input?: string;
  /** ms until the command is killed. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** 'discard' for commands whose output says nothing, or that leave a daemon behind, which would go on writing. */
  output?: 'capture' | 'discard';
  /** A descriptor that takes what it says on stderr, it and all it leaves behind. It is not in the error then. */
  stderr?: number;
  /** How long the command and all it leaves behind run before others have their turn, ns; see `Schedule`. */
  sliceNs?: number;
}

/** Runs one host command to its end and gives its stdout. Passed in wherever commands are run, so that plans can be tested. */
export type Exec = (file: string, args: readonly string[], options?: ExecOptions) => Promise<string>;

const DEFAULT_TIMEOUT_MS = 30_000;

/** Runs host commands of this process. */
export interface HostExec {
  exec: Exec;
  /** No command may be running any more. */
  close(): void;
}

export function openHostExec(): HostExec {
  const spawner = openSpawner();
  return {
    exec: (file, args, options = {}) => execute(spawner, file, args, options),
    close: () => spawner.close(),
  };
}

async function execute(
  spawner: Spawner,
  file: string,
  args: readonly string[],
  options: ExecOptions,
): Promise<string> {
  const { input, signal, timeoutMs = DEFAULT_TIMEOUT_MS, sliceNs } = options;
  const name = [file, ...args.slice(0, 3)].join(' ');
  if (signal?.aborted) throw new CommandError(name, 'aborted', null, '', signal.reason);
  const streams = new MemoryStreams(spawner);
  try {
    const stdin = input === undefined ? undefined : streams.add('stdin', input);
    const captured = options.output !== 'discard';
    const stdout = captured ? streams.add('stdout') : undefined;
    const said = captured && options.stderr === undefined ? streams.add('stderr') : undefined;
    const stderr = options.stderr ?? said;
    const program = startProgram(spawner, name, { file, args, stdin, stdout, stderr, sliceNs });
    const end = await untilEnd(program, timeoutMs, signal);
    if (end.exitCode === 0) return stdout === undefined ? '' : readText(stdout);
    const words = said === undefined ? '' : readText(said, STDERR_LIMIT).trim();
    if (signal?.aborted) throw new CommandError(name, 'aborted', null, words, signal.reason);
    const reason =
      end.isLate && end.signal !== 0
        ? `not done after ${timeoutMs / 1000} s, and killed: this machine is too busy or too slow, or the program hangs`
        : end.signal === 0
          ? `exit status ${end.exitCode}`
          : `ended by ${signalName(end.signal)}`;
    throw new CommandError(name, reason, end.signal === 0 ? end.exitCode : null, words);
  } finally {
    streams.close();
  }
}

function startProgram(
  spawner: Spawner,
  name: string,
  start: Parameters<Spawner['start']>[0],
): StartedProgram {
  try {
    return spawner.start(start);
  } catch (error) {
    throw new CommandError(name, whyNotStarted(start.file, error as Error), null, '', error);
  }
}

function whyNotStarted(file: string, error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  const fix = './islet doctor says what to install';
  if (code === 'ENOENT') return `the program "${file}" is not in ${process.env.PATH}: ${fix}`;
  if (code === 'EACCES') return `the program "${file}" in ${process.env.PATH} is not executable: ${fix}`;
  return error.message;
}

/** Waits for the end; SIGKILL brings it about if the time is over (`isLate`) or the caller gave up. */
async function untilEnd(program: StartedProgram, timeoutMs: number, signal: AbortSignal | undefined) {
  let isLate = false;
  // Until its end was seen a program keeps its pid, so that no other process can be hit.
  const kill = () => process.kill(program.pid, 'SIGKILL');
  // Goes on after the first kill, since the end is told by a signal, which keeps no process alive: a program that hangs in
  // the kernel dies long after its SIGKILL.
  const timer = setInterval(() => {
    isLate = true;
    kill();
  }, timeoutMs);
  signal?.addEventListener('abort', kill, { once: true });
  try {
    return { ...(await program.ended), isLate };
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', kill);
  }
}

/**
 * What a command reads and writes, in memory. Files rather than pipes: nothing has to be pumped while the command runs, and a
 * program that it leaves behind cannot hold its end up.
 */
class MemoryStreams {
  readonly #spawner: Spawner;
  readonly #open: number[] = [];

  constructor(spawner: Spawner) {
    this.#spawner = spawner;
  }

  add(name: string, content?: string): number {
    const descriptor = this.#spawner.memoryFile(name);
    this.#open.push(descriptor);
    const bytes = Buffer.from(content ?? '');
    // At a position: the offset, which the command shares, stays at the beginning.
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(descriptor, bytes, done, bytes.length - done, done);
    }
    return descriptor;
  }

  close(): void {
    for (const descriptor of this.#open.splice(0)) closeSync(descriptor);
  }
}

function readText(descriptor: number, limit = Number.POSITIVE_INFINITY): string {
  const bytes = Buffer.alloc(Math.min(fstatSync(descriptor).size, limit));
  let done = 0;
  while (done < bytes.length) {
    const count = readSync(descriptor, bytes, done, bytes.length - done, done);
    if (count === 0) break;
    done += count;
  }
  return bytes.toString('utf8', 0, done);
}

function signalName(signal: number): string {
  const entry = Object.entries(constants.signals).find(([, value]) => value === signal);
  return entry?.[0] ?? `signal ${signal}`;
}
