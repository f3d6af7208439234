import { spawn } from 'node:child_process';

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
  /** 'discard' for commands that leave a daemon behind: it would inherit the pipes and keep them open for its life. */
  output?: 'capture' | 'discard';
}

/** Runs one host command to its end and gives its stdout. Passed in wherever commands are run, so that plans can be tested. */
export type Exec = (file: string, args: readonly string[], options?: ExecOptions) => Promise<string>;

export const execHost: Exec = (file, args, options = {}) =>
  new Promise((resolve, reject) => {
    const name = [file, ...args.slice(0, 3)].join(' ');
    const output = options.output === 'discard' ? 'ignore' : 'pipe';
    const child = spawn(file, args, {
      stdio: [options.input === undefined ? 'ignore' : 'pipe', output, output],
      ...(options.signal ? { signal: options.signal } : {}),
      timeout: options.timeoutMs ?? 30_000,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < STDERR_LIMIT) stderr += text.slice(0, STDERR_LIMIT);
    });
    child.on('error', (error) => reject(new CommandError(name, error.message, null, '', error)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else
        reject(
          new CommandError(name, signal ? `ended by ${signal}` : `exit status ${code}`, code, stderr.trim()),
        );
    });
    if (options.input !== undefined) {
      child.stdin?.on('error', () => undefined); // the exit status says more than EPIPE
      child.stdin?.end(options.input);
    }
  });
