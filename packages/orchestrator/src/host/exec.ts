import { spawn } from 'node:child_process';

const OUTPUT_LIMIT_BYTES = 64 * 1024;

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
  /** What the command's stdout goes to; 'discard' for commands whose children keep it open. */
  stdout?: 'capture' | 'discard';
}

/** Runs one host command to its end and gives its stdout. Passed in wherever commands are run, so that plans can be tested. */
export type Exec = (file: string, args: readonly string[], options?: ExecOptions) => Promise<string>;

export const execHost: Exec = (file, args, options = {}) =>
  new Promise((resolve, reject) => {
    const name = [file, ...args.slice(0, 3)].join(' ');
    const capture = (options.stdout ?? 'capture') === 'capture';
    const child = spawn(file, args, {
      stdio: [options.input === undefined ? 'ignore' : 'pipe', capture ? 'pipe' : 'ignore', 'pipe'],
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
      if (stderr.length < OUTPUT_LIMIT_BYTES) stderr += text;
    });
    child.on('error', (error) => reject(new CommandError(name, error.message, null, '', error)));
    // `exit` rather than `close`: a daemon that the command leaves behind may hold stderr open for ever.
    child.on('exit', (code, signal) => {
      const settle = () => {
        if (code === 0) resolve(stdout);
        else
          reject(
            new CommandError(
              name,
              signal ? `ended by ${signal}` : `exit status ${code}`,
              code,
              stderr.trim(),
            ),
          );
      };
      if (capture) child.once('close', settle);
      else setImmediate(settle);
    });
    if (options.input !== undefined) {
      child.stdin?.on('error', () => undefined); // the exit status says more than EPIPE
      child.stdin?.end(options.input);
    }
  });
