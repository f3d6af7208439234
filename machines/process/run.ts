import { spawn } from 'node:child_process';

/** A command of the harness that did not end well, with the end of what it printed. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

export interface RunOptions {
  signal: AbortSignal;
  /** Fed to the command. */
  input?: string | Buffer;
  cwd?: string;
  env?: Record<string, string>;
}

export interface Outcome {
  /** Exit status, or the signal that ended it. */
  status: number | string;
  stdout: string;
  /** Its end, if it is long. */
  stderr: string;
}

/** A program ends with this process, even if that is killed. */
export const TIED = ['setpriv', '--pdeathsig', 'KILL'];

/** So do those that it starts, and what they mount: it has mount and pid namespaces of its own. */
export const CONFINED = [
  ...TIED,
  ...['unshare', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'],
];

/** The end of an output that an error shows. */
const SHOWN_CHARACTERS = 6000;

/**
 * Runs a command to its end, whatever that is.
 * @throws the signal's reason if that aborts; an error if the program cannot be started.
 */
export async function attempt(command: readonly string[], options: RunOptions): Promise<Outcome> {
  const { signal, input, cwd, env } = options;
  signal.throwIfAborted();
  const [file = '', ...args] = [...TIED, ...command];
  const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
  const end = () => child.kill('SIGKILL');
  signal.addEventListener('abort', end, { once: true });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-SHOWN_CHARACTERS);
  });
  // Who ends before it has read everything says why by its exit status.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  try {
    const status = await new Promise<number | string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, killedBy) => resolve(code ?? killedBy ?? 'unknown'));
    });
    signal.throwIfAborted();
    return { status, stdout, stderr };
  } finally {
    signal.removeEventListener('abort', end);
  }
}

/**
 * Runs a command and returns what it printed.
 * @throws CommandError if it exits with anything but 0, and as {@link attempt} does.
 */
export async function run(command: readonly string[], options: RunOptions): Promise<string> {
  const { status, stdout, stderr } = await attempt(command, options);
  if (status !== 0) {
    const shown = `${stdout.slice(-SHOWN_CHARACTERS)}\n${stderr}`.trim();
    throw new CommandError(`${command.slice(0, 3).join(' ')} … ended with ${status}:\n${shown}`);
  }
  return stdout;
}
