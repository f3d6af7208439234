import { execFile } from 'node:child_process';

export interface RunResult {
  /** Exit status; null if it was killed or never started. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  input?: string;
  /** ms until the command is killed. */
  timeoutMs?: number;
}

export type Run = (file: string, args: string[], options?: RunOptions) => Promise<RunResult>;

const TIMEOUT_MS = 20_000;

/** Runs a command; whatever comes of it is an answer, not an error. */
export const runHost: Run = (file, args, { input = '', timeoutMs = TIMEOUT_MS } = {}) =>
  new Promise((resolve) => {
    const child = execFile(
      file,
      args,
      { timeout: timeoutMs, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (!error) return resolve({ code: 0, stdout, stderr });
        const missing = error.code as unknown as string;
        const code = typeof error.code === 'number' ? error.code : null;
        const reason = error.killed ? `no answer within ${timeoutMs / 1000} s` : (missing ?? error.message);
        resolve({ code, stdout, stderr: code === null ? `${stderr}${reason}` : stderr });
      },
    );
    // A command that ends before it reads its input says so by its exit status.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
