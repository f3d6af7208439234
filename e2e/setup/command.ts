import { spawn } from 'node:child_process';
import { resolve } from 'node:path';

const LAUNCHER = resolve(import.meta.dirname, '../../islet');
const TIMEOUT_MS = 110_000;

export interface CommandResult {
  /** null if a signal ended it. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  env?: Record<string, string>;
  /** A command that runs the launcher, such as one that takes rights away. */
  through?: readonly string[];
  /** Before it is ended, ms; absent: some two minutes. */
  timeoutMs?: number;
}

/** Runs `./islet` to its end, whatever that is. */
export function runIslet(
  args: readonly string[],
  { env = {}, through = [], timeoutMs = TIMEOUT_MS }: CommandOptions = {},
): Promise<CommandResult> {
  const [file = LAUNCHER, ...rest] = [...through, LAUNCHER, ...args];
  return new Promise((done, reject) => {
    const child = spawn(file, rest, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => done({ code, stdout, stderr }));
  });
}

/** The objects of an output of one JSON object a line. */
export function jsonLines<T>(text: string): T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}
